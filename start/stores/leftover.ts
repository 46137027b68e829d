import { readFileSync, rmSync } from 'node:fs';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { beginningOf } from '../../core/runtime/files/lock.mjs';

/** Writes down which process serves a data folder; read by `stopLeftover` of a later start. */
export function rememberServer(path: string, pid: number): void {
  writePrivately(path, JSON.stringify({ pid, began: beginningOf(pid) }));
}

export interface Leftover {
  /** The file that `rememberServer` wrote. */
  path: string;
  /** Each is tried in turn, then SIGKILL. */
  signals: readonly NodeJS.Signals[];
  /** How long each may take. */
  waitMs: number;
  clock: Clock;
}

/**
 * Stops the server of an earlier start that was left running, or is still stopping; does nothing when there
 * is none. The process id alone proves nothing: the moment it began must be the same too.
 */
export async function stopLeftover({ path, signals, waitMs, clock }: Leftover): Promise<void> {
  const left = read(path);
  if (!left) return;
  const alive = (): boolean => beginningOf(left.pid) === left.began;
  for (const signal of [...signals, 'SIGKILL' as const]) {
    if (!alive()) break;
    try {
      process.kill(left.pid, signal);
    } catch {
      break; // It ended between the two calls.
    }
    const until = clock.elapsed() + waitMs;
    while (alive() && clock.elapsed() < until) await pause(50);
  }
  rmSync(path, { force: true });
}

function read(path: string): { pid: number; began: string } | undefined {
  try {
    const { pid, began } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; began?: string };
    return began === undefined ? undefined : { pid, began };
  } catch {
    return undefined; // never started, or the file was cut short by a crash
  }
}
