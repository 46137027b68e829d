import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { GuardFact, GuardSpec } from '../guard/spec.ts';

/** One running program with its guard. */
export interface Guarded {
  /** The program's own process id; undefined if it could not be started. */
  pid: Promise<number | undefined>;
  /** Resolves when program and guard have ended, with the program's exit code; 128 + n after a signal. */
  exited: Promise<number>;
  /** Asks it to stop and waits; it is killed when its `stopMs` is over. May be called twice. */
  stop(): Promise<void>;
  /** Ends program and guard at once. */
  kill(): void;
}

export interface GuardedDeps {
  spec: GuardSpec;
  /** Each line of the program's stdout and stderr. */
  line: (text: string) => void;
}

const extension = extname(import.meta.url);
const guardPath = fileURLToPath(new URL(`../guard/main${extension}`, import.meta.url));
/** Beyond the program's own `stopMs`: the guard itself must have hung. */
const GUARD_SLACK_MS = 500;

/**
 * Starts a program in a process group of its own, under a guard that stops it when this process is gone.
 */
export function startGuarded({ spec, line }: GuardedDeps): Guarded {
  const guard = spawn(process.execPath, [...process.execArgv, guardPath], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: spec.env,
  });
  const kill = (): void => killGroup(guard.pid);
  guard.stdin.on('error', kill); // it is gone or going
  guard.stdin.write(`${JSON.stringify(spec)}\n`);
  for (const stream of [guard.stdout, guard.stderr]) {
    createInterface({ input: stream }).on('line', line);
  }
  const exited = new Promise<number>((resolve) => {
    guard.on('error', (error) => {
      line(error.message);
      resolve(127);
    });
    // 'close' rather than 'exit': the last lines are read by then.
    guard.on('exit', (code, signal) => {
      kill(); // a guard that was killed leaves its program behind, a program may leave children
      resolve(code ?? (signal === 'SIGKILL' ? 137 : 143));
    });
  });
  return {
    pid: factsOf(guard.stdio[3] as Readable, line),
    exited,
    async stop() {
      guard.stdin.end();
      const late = setTimeout(kill, spec.stopMs + GUARD_SLACK_MS);
      await exited;
      clearTimeout(late);
    },
    kill,
  };
}

function factsOf(stream: Readable, line: (text: string) => void): Promise<number | undefined> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: stream });
    lines.on('line', (text) => {
      const fact = JSON.parse(text) as GuardFact;
      if ('pid' in fact) resolve(fact.pid);
      else line(`could not be started: ${fact.failed}`);
    });
    lines.on('close', () => resolve(undefined));
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    return; // ESRCH: nothing of the group is left, which is what was wanted.
  }
}
