import colors from 'picocolors';
import type { Terminal } from './terminal.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import { cutTo } from './table.ts';

/** The bottom line of a terminal, kept free of the answer that scrolls above it. */
export interface StatusRow {
  /** @returns false where there is no such line; the caller says it otherwise. */
  set(text: string): boolean;
  /** Gives the line back. May be called twice. */
  stop(): void;
}

const SAVE = '\u001b7';
const RESTORE = '\u001b8';
const LEAST_ROWS = 5;
/**
 * Gives the whole terminal back, and nothing below the cursor: the line of before is gone, wherever a changed size has
 * moved it to. Where the cursor is on the last line, as in a terminal that was made smaller, all goes up by one.
 */
const FREE = `${SAVE}\u001b[r${RESTORE}\u001bD\u001b[A${SAVE}\u001b[B\r\u001b[J${RESTORE}`;

/**
 * Takes the line at the first `set`: the scrolling region of the terminal ends above it until `stop`. Stays away where
 * either stream is not a terminal, and leaves one that has become too small.
 */
export function createStatusRow({ tty, cursor, size, stderr, colour, leaving }: Terminal): StatusRow {
  const able = tty.stdout && tty.stderr && cursor;
  const { dim } = colors.createColors(colour.stderr);
  let taken: number | null = null;
  const stop = (): void => {
    leaving.delete(stop);
    if (taken !== null) stderr.write(FREE);
    taken = null;
  };
  return {
    set(text) {
      const { rows, columns } = size();
      if (!able || rows < LEAST_ROWS) {
        stop();
        return false;
      }
      if (taken !== rows) {
        stderr.write(`${FREE}${SAVE}\u001b[1;${rows - 1}r${RESTORE}`);
        taken = rows;
        leaving.add(stop);
      }
      const line = cutTo(oneLine(text), Math.max(0, columns - 1));
      stderr.write(`${SAVE}\u001b[${rows};1H\u001b[2K${dim(line)}${RESTORE}`);
      return true;
    },
    stop,
  };
}
