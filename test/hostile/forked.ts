import { fork, type ChildProcess } from 'node:child_process';
import { setPriority } from 'node:os';
import type { Done } from './attack.ts';
import type { Order, Told } from './attacker.ts';

const LOWEST_PRIORITY = 19;

/** A process that attacks as it is told; what it costs itself is kept from who measures, as far as that can be. */
export interface Attacker {
  pid: number;
  /** Has it make what it will send. @returns what has it strike. */
  ready(order: Order): Promise<() => Promise<Done>>;
  stop(): void;
}

export function startAttacker(): Attacker {
  const child = forked('attacker.ts');
  if (child.pid !== undefined) setPriority(child.pid, LOWEST_PRIORITY);
  return {
    pid: child.pid ?? 0,
    async ready(order) {
      const ready = messageOf<Told>(child);
      child.send(order);
      await ready;
      return async () => {
        const message = messageOf<Told>(child);
        child.send('strike');
        const answer = await message;
        if (!('done' in answer))
          throw new TypeError(`The attack could not be made: ${JSON.stringify(answer)}`);
        return answer.done;
      };
    },
    stop: () => child.disconnect(),
  };
}

/** A port that takes whatever comes and answers nothing. */
export async function startSink(): Promise<{ port: number; stop: () => void }> {
  const child = forked('sink.ts');
  const { port } = await messageOf<{ port: number }>(child);
  return { port, stop: () => child.disconnect() };
}

const forked = (file: string): ChildProcess =>
  fork(new URL(file, import.meta.url), { execArgv: ['--import', 'tsx'] });

/** The next thing that a process says. */
function messageOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const left = (code: number | null): void =>
      reject(new TypeError(`an attacker left with ${String(code)}`));
    child.once('exit', left);
    child.once('message', (message) => {
      child.off('exit', left);
      resolve(message as T);
    });
  });
}
