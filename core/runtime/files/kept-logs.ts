import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';

/** Of each process two files of at most so much: what it prints now, and what it printed before that. */
const MOST_BYTES = 1024 * 1024;

/** What other processes print, kept where a person looks when something was wrong. */
export interface Logs {
  /** Where the files are from now on; what comes before that is not kept. */
  into(folder: string): void;
  keep: (name: string, line: string) => void;
}

/**
 * Files of one folder, for their owner alone, each of one writer: start.lock keeps a second `npm start` out. A
 * line that cannot be written is lost, and said once: nothing stops because of a full disk.
 */
export function openLogs({ complain }: { complain: (sentence: string) => void }): Logs {
  const open = new Map<string, { file: number; bytes: number }>();
  let folder: string | undefined;
  const opened = (path: string): { file: number; bytes: number } => {
    const file = openSync(path, 'a', 0o600);
    const log = { file, bytes: fstatSync(file).size };
    open.set(path, log);
    return log;
  };
  // The file stays open: a line comes with each task, and opening it costs thrice what writing does.
  const append = (into: string, name: string, line: string): void => {
    const path = join(into, `${name}.log`);
    const text = Buffer.from(`${line}\n`);
    let log = open.get(path) ?? opened(path);
    if (log.bytes > 0 && log.bytes + text.length > MOST_BYTES) {
      open.delete(path);
      closeSync(log.file);
      renameSync(path, join(into, `${name}.1.log`));
      log = opened(path);
    }
    log.bytes += writeSync(log.file, text);
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
