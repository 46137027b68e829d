/** One at a time in a checkout: who may change node_modules and dist, and which systems run from them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { holderOf, takeLock } from '../../core/runtime/files/lock.mjs';
import { complain, say } from './say.mjs';

const WAIT_MS = 10 * 60_000;

/**
 * Runs `job` while no other npm script of this checkout installs or builds.
 * @returns what `job` returns, or false when the other one has not finished within ten minutes.
 */
export async function exclusively(root, job) {
  const path = join(root, '.boot', 'lock');
  const until = performance.now() + WAIT_MS;
  let told = false;
  for (;;) {
    const lock = takeLock(path);
    if (lock.release) {
      try {
        return await job();
      } finally {
        lock.release();
      }
    }
    if (!told)
      say(`Another npm script (process ${lock.holder.pid}) installs or builds here; waiting for it …`);
    told = true;
    if (performance.now() > until) {
      complain(
        `Process ${lock.holder.pid} still installs or builds after ten minutes; stop it and try again.`,
      );
      return false;
    }
    await pause(200);
  }
}

/** Marks that a system runs from this checkout, until `release`. */
export function runningMark(root) {
  return takeLock(join(root, '.boot', 'running', String(process.pid)));
}

/** One of the systems that run from this checkout. */
export function runningFrom(root) {
  const folder = join(root, '.boot', 'running');
  let names;
  try {
    names = readdirSync(folder);
  } catch {
    return undefined; // nothing was ever started here
  }
  return names.map((name) => holderOf(join(folder, name))).find((holder) => holder !== undefined);
}
