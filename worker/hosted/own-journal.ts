import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { Journal } from '../mcp/journal.ts';

/** Hosted workers of one machine and home; each has a journal of its own. */
const MOST = 16;

/**
 * A journal that no other process of this machine writes: the one of a hosted worker that has ended, where there is one, so
 * that what comes again finds what was said of it. @throws the file system's error.
 */
export function ownJournal(root: string, now: number): { journal: Journal; release: () => void } {
  const folder = join(
    root,
    'hosted',
    hostname()
      .replace(/[^A-Za-z0-9_-]/g, '_')
      .slice(0, 64),
  );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (let n = 1; n <= MOST; n += 1) {
    const lock = join(folder, `journal-${String(n)}.lock`);
    if (!taken(lock)) continue;
    const journal = Journal.open(join(folder, `journal-${String(n)}`), now);
    return {
      journal,
      release() {
        journal.close();
        rmSync(lock, { force: true });
      },
    };
  }
  throw new McpctlError(
    'setup_failed',
    `${String(MOST)} hosted workers run in this home; give another one another.`,
  );
}

function taken(lock: string): boolean {
  if (isHeld(lock)) return false;
  rmSync(lock, { force: true });
  try {
    const file = openSync(lock, 'wx', 0o600); // of two at once one has it
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
}

function isHeld(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's process; else nobody's
  }
}
