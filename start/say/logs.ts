import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../core/errors.ts';
import type { Say } from '../server.ts';

/** Of each process two files of at most so much: what it prints now, and what it printed before that. */
const MOST_BYTES = 1024 * 1024;

/** What the processes of `npm start` print, kept where a person looks when something was wrong. */
export interface Logs {
  /** Where the files are from now on; what comes before that is not kept. */
  into(folder: string): void;
  keep: (name: string, line: string) => void;
}

/**
 * Files of one folder, for their owner alone. `npm start` is the only writer: start.lock keeps a second one out. A
 * line that cannot be written is lost, and said once: nothing stops because of a full disk.
 */
export function openLogs({ complain }: { complain: Say }): Logs {
  const sizes = new Map<string, number>();
  let folder: string | undefined;
  const append = (into: string, name: string, line: string): void => {
    const path = join(into, `${name}.log`);
    const bytes = Buffer.byteLength(line) + 1;
    const before = sizes.get(path) ?? statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (before > 0 && before + bytes > MOST_BYTES) renameSync(path, join(into, `${name}.1.log`));
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
    sizes.set(path, before + bytes > MOST_BYTES ? bytes : before + bytes);
  };
  return {
    into(at) {
      mkdirSync(at, { recursive: true, mode: 0o700 });
      folder = at;
    },
    keep(name, line) {
      if (folder === undefined) return;
      try {
        append(folder, name, line);
      } catch (thrown) {
        const at = folder;
        folder = undefined;
        complain(`What the processes print is not kept in ${at} any more: ${messageOf(thrown)}`);
      }
    },
  };
}
