import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { McpctlError } from '../../core/errors.ts';

/** One line of a process's JSON log; events of core/task/events.ts are lines with `event`. */
export type LogLine = Record<string, unknown> & { msg?: string; event?: string };

/** A real process of the product, told by the events that it logs. */
export interface TestProcess {
  child: ChildProcess;
  lines: LogLine[];
  /** The next line, counted from `mark` or the last one waited for, that fits. Fails after 45 s with what was said. */
  next(fits: (line: LogLine) => boolean): Promise<LogLine>;
  event(name: string, fits?: (line: LogLine) => boolean): Promise<LogLine>;
  /** Sends a signal and waits until the process has gone. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

/** A process takes a second to start, and twenty on a machine that is busy with other things. */
const WITHIN_MS = 45_000;

interface ProcessOptions {
  args?: readonly string[];
  env: Record<string, string>;
  /** A command that becomes the one that follows it: the process id stays. */
  through?: readonly string[];
}

export function startProcess(entry: string, { args = [], env, through = [] }: ProcessOptions): TestProcess {
  const [command = '', ...argv] = [...through, process.execPath, entry, ...args];
  const child = spawn(command, argv, {
    env: { PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'debug', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: LogLine[] = [];
  const listeners = new Set<() => void>();
  let at = 0;
  const take = (text: string): void => {
    try {
      lines.push(JSON.parse(text) as LogLine);
    } catch {
      lines.push({ msg: text }); // what a process says on stderr as it fails
    }
    for (const heard of listeners) heard();
  };
  createInterface({ input: child.stdout }).on('line', take);
  createInterface({ input: child.stderr }).on('line', take);
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));

  const next = (fits: (line: LogLine) => boolean): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        for (; at < lines.length; at++) {
          const line = lines[at];
          if (!line || !fits(line)) continue;
          at += 1;
          done();
          return resolve(line);
        }
      };
      const timer = setTimeout(() => {
        done();
        const tail = lines
          .slice(-15)
          .map((l) => JSON.stringify(l))
          .join('\n');
        reject(
          new McpctlError(
            'timed_out',
            `${entry} did not say it within ${WITHIN_MS} ms; its last lines:\n${tail}`,
          ),
        );
      }, WITHIN_MS);
      const done = (): void => {
        clearTimeout(timer);
        listeners.delete(look);
      };
      listeners.add(look);
      look();
    });
  return {
    child,
    lines,
    next,
    event: (name, fits = () => true) => next((line) => line.event === name && fits(line)),
    async kill(signal) {
      child.kill(signal);
      return await exited;
    },
    exited,
  };
}
