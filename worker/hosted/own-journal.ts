import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { takeLock } from '../../core/runtime/files/lock.mjs';
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
    const path = join(folder, `journal-${String(n)}`);
    const { release } = takeLock(`${path}.lock`);
    if (!release) continue;
    try {
      const journal = Journal.open(path, now);
      return {
        journal,
        release() {
          journal.close();
          release();
        },
      };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }
  throw new McpctlError(
    'setup_failed',
    `${String(MOST)} hosted workers run in this home; give another one another.`,
  );
}
