import type { Request, Response } from 'express';
import type { Actor } from '../../core/access.ts';
import type { McpctlError } from '../../core/errors.ts';
import { shownInLine } from '../../core/names.ts';
import type { EdgeDeps } from '../deps.ts';
import { takeTurn } from '../limits/turns.ts';
import { deliveryOf, untilTaken } from './delivered.ts';
import { whileThere } from './gone.ts';

/** Of lines that wait to be sent: each is written as it is read. */
const PIECE_CHARS = 64 * 1024;

/**
 * Sends all lines and ends the answer, as fast as its reader takes them: one that takes nothing is dropped (`stalledReaderMs`), and for one that has
 * left no more is read. @throws what reading them does, with the answer open still.
 */
export async function sendLines(
  deps: Pick<EdgeDeps, 'config' | 'metrics'>,
  res: Response,
  lines: AsyncIterable<string>,
): Promise<void> {
  let text = '';
  for await (const line of lines) {
    if (res.destroyed) return;
    text += `${line}\n`;
    if (text.length < PIECE_CHARS) continue;
    const isTaken = res.write(text);
    text = '';
    if (!isTaken) await untilTaken(res, 'drain', deliveryOf(deps));
  }
  res.end(text);
}

interface Download {
  req: Request;
  res: Response;
  /** How it is called where it is saved. */
  file: string;
  type: 'text/csv' | 'application/x-ndjson';
  /** Each page is read in its turn: lists do not wait for a reader that is slow. */
  lines: AsyncIterable<string>;
  /** Whether they may still, as they are granted by then. @returns why not. */
  whyNot: (now: Actor) => McpctlError | undefined;
}

/**
 * A list as a file, all of it, however many pages it has. What cannot be read to its end is broken off, so that nobody takes a part for the whole.
 * @throws what reading the first of it does, and McpctlError `too_many_requests`.
 */
export async function sendFile(
  deps: EdgeDeps,
  { req, res, file, type, lines, whyNot }: Download,
): Promise<void> {
  const headers = { 'cache-control': 'no-store', 'content-disposition': `attachment; filename="${file}"` };
  if (req.method === 'HEAD') return void res.set(headers).type(type).end();
  await takeTurn(deps.gates.files, req);
  await whileThere(deps, { res, poolKey: '', whyNot }, async (gone) => {
    gone.addEventListener('abort', () => res.destroy());
    try {
      await sendLines(deps, res.set(headers).type(type), lines);
    } catch (thrown) {
      if (!res.headersSent) {
        res.removeHeader('content-disposition');
        throw thrown;
      }
      if (res.destroyed) return; // its reader has left, or may not any more
      deps.log.warn({ file }, 'a list was broken off while it was sent');
      res.destroy();
    }
  });
}

/** As spreadsheets begin a formula, in full width too. */
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

/** Of a spreadsheet: what would be a formula is text, and what cannot be shown a blank. */
function cellOf(value: string | number | null | undefined): string {
  if (typeof value === 'number') return String(value);
  const shown = shownInLine(value ?? '');
  const text = FORMULA.test(shown) ? `'${shown}` : shown;
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A line of CSV, quoted as RFC 4180 has it, without its end. */
export const csvLine = (cells: readonly (string | number | null | undefined)[]): string =>
  cells.map(cellOf).join(',');
