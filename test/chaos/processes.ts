import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A process of the product; what it logs is appended to a file of its own. */
export interface Running {
  name: string;
  pid: number;
  /** The events of core/task/events.ts that it logged so far. */
  events(name: string): Record<string, unknown>[];
  isAlive(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface RunDeps {
  name: string;
  entry: string;
  args?: readonly string[];
  env: Record<string, string>;
  folder: string;
}

export function run({ name, entry, args = [], env, folder }: RunDeps): Running {
  const path = join(folder, `${name}.ndjson`);
  const log = openSync(path, 'a');
  const from = fstatSync(log).size; // an earlier life wrote what is before
  const child: ChildProcess = spawn(process.execPath, [entry, ...args], {
    env: { PATH: process.env['PATH'] ?? '', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    name,
    pid: child.pid ?? 0,
    events(event) {
      return readFileSync(path)
        .subarray(from)
        .toString()
        .split('\n')
        .filter((line) => line.includes(`"event":"${event}"`))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    signal: (signal) => void child.kill(signal),
    async end(signal) {
      child.kill(signal);
      if (signal !== 'SIGSTOP') await exited;
    },
  };
}

/** Whether the system knows a process of that id. */
export function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: it has gone
  }
}
