/**
 * A lock file that says who holds it: process id and the moment that process began, so that neither a crash
 * nor a reused id keeps it locked. Plain JavaScript: start/boot.mjs needs it before anything is built.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { draftBeside } from './private-file.mjs';

/** When the process began, in the system's own words; undefined when there is no such process. */
export function beginningOf(pid) {
  try {
    // The name in brackets may hold spaces; field 22 of the line is the start in clock ticks since boot.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch (error) {
    if (process.platform === 'linux') return undefined;
  }
  try {
    const out = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' });
    return out.trim() || undefined;
  } catch {
    return undefined; // ps exits 1 when there is no such process
  }
}

/** Who holds the lock now; undefined when nobody does, also when the file is left over from a crash. */
export function holderOf(path) {
  const text = read(path);
  return text === undefined ? undefined : livingHolder(text);
}

/**
 * Takes the lock for this process.
 * @param facts is kept beside the process id, for whoever finds the lock taken.
 * @returns `{ release }`, or `{ holder }` when another living process has it.
 */
export function takeLock(path, facts = {}) {
  const mine = JSON.stringify({ ...facts, pid: process.pid, began: beginningOf(process.pid) });
  mkdirSync(dirname(path), { recursive: true });
  const draft = draftBeside(path, mine);
  try {
    for (;;) {
      try {
        linkSync(draft, path); // all or nothing, and with its content: nobody ever reads half a lock
        return { release: () => releaseLock(path, mine) };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const found = read(path);
      if (found === undefined) continue;
      const holder = livingHolder(found);
      if (holder) return { holder };
      clearStale(path, found);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function releaseLock(path, mine) {
  if (read(path) === mine) rmSync(path, { force: true });
}

/** Moves a dead one's lock away; when another process was quicker and it is a live one, puts it back. */
function clearStale(path, found) {
  const aside = `${path}.stale.${randomBytes(9).toString('base64url')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  try {
    if (read(aside) !== found) linkSync(aside, path);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function livingHolder(text) {
  try {
    const holder = JSON.parse(text);
    return beginningOf(holder.pid) === holder.began && holder.began !== undefined ? holder : undefined;
  } catch {
    return undefined; // not a lock of ours: as good as left over
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
