import colors from 'picocolors';
import type { Terminal } from './terminal.ts';
import { oneLine } from '../../core/runtime/plain.ts';

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
 * Takes the line at the first `set`: the scrolling region of the terminal ends above it until `stop`. The
 * cursor must be at the start of a line then. Stays away where either stream is not a terminal.
 */
export function createStatusRow({ tty, cursor, size, stderr, colour, leaving }: Terminal): StatusRow {
  const able = tty.stdout && tty.stderr && cursor;
  const { dim } = colors.createColors(colour.stderr);
  let taken: number | null = null;
  const stop = (): void => {
    leaving.delete(stop);
    if (taken !== null) stderr.write(`${SAVE}\u001b[${taken};1H\u001b[2K\u001b[r${RESTORE}`);
    taken = null;
  };
  return {
    set(text) {
      const { rows, columns } = size();
      if (!able || rows < LEAST_ROWS) return false;
      if (taken !== rows) {
        // The newline makes room when the cursor is on the last line; a changed size starts over.
        stderr.write(`${taken === null ? '\n\u001b[1A' : ''}${SAVE}\u001b[1;${rows - 1}r${RESTORE}`);
        taken = rows;
        leaving.add(stop);
      }
      const line = oneLine(text).slice(0, Math.max(0, columns - 1));
      stderr.write(`${SAVE}\u001b[${rows};1H\u001b[2K${dim(line)}${RESTORE}`);
      return true;
    },
    stop,
  };
}
