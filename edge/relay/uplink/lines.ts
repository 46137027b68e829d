import type { Readable } from 'node:stream';
import { ByteLines } from '../../../core/text/byte-lines.ts';
import { McpctlError } from '../../../core/errors.ts';
import { loopTurn } from '../../../core/text/loop-turns.ts';
import { mostMs } from '../../../core/runtime/time-of-bytes.ts';
import type { Clock } from '../../../core/runtime/clock.ts';

export interface LineLimits {
  /** A longer line is refused as soon as that is seen. */
  limitBytes: number;
  /** Makes sure of room for so many bytes of an unfinished line. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
  /** Is told how long each piece is: a long line is on its way for long. @throws what ends the reading. */
  arrives?: (bytes: number) => void;
  /** Who takes turns with others while there are many lines. */
  owner: string;
  clock: Pick<Clock, 'elapsed'>;
  /** Ends the reading: nobody wants the rest. */
  lost: AbortSignal;
}

/** So many lines are one slice of work, empty ones too. */
const LINES_A_TURN = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The lines of a body, one at a time, as they arrive; nothing is read ahead of what is asked for, and no more is held
 * than one line. Ends early when `lost` aborts. The body itself is left as it is.
 * @throws McpctlError `body_too_large`, `invalid_json` (not UTF-8), `invalid_request` (it broke off, or a line drips), and
 *   what `arrives` does.
 */
export async function* linesOf(body: Readable, limits: LineLimits): AsyncGenerator<string> {
  const { limitBytes, reserve, arrives, owner, clock, lost } = limits;
  let count = 0;
  /** The line that is on its way: how many came before it, and since when. */
  let begun = { before: 0, at: clock.elapsed() };
  const next = nextOf(body, lost);
  const lines = new ByteLines(limitBytes);
  try {
    for (;;) {
      const chunk = await next();
      if (chunk === 'lost') return;
      if (chunk === null) break;
      arrives?.(chunk.byteLength);
      if (lines.begunBytes === 0 || count > begun.before) begun = { before: count, at: clock.elapsed() };
      for (const line of lines.feed(chunk)) {
        count += 1;
        if (count % LINES_A_TURN === 0) await loopTurn(owner);
        const text = line.byteLength === 0 ? '' : textOf(line);
        if (text !== '') yield text;
        if (lost.aborted) return;
      }
      if (count === begun.before && clock.elapsed() - begun.at > mostMs(lines.begunBytes))
        throw new McpctlError('invalid_request', 'A line of the stream did not arrive in time.');
      reserve(lines.begunBytes);
    }
    const last = textOf(lines.rest());
    if (last !== '') yield last;
  } finally {
    lines.release();
  }
}

/**
 * What comes next of a body; null at its end. One listener, and no promise that outlives a chunk: raced against one that waits for
 * `lost`, every chunk would stay until that is settled, which is the whole of the answer.
 */
function nextOf(body: Readable, lost: AbortSignal): () => Promise<Buffer | 'lost' | null> {
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  let leave = (): void => undefined;
  lost.addEventListener('abort', () => leave(), { once: true });
  return () =>
    new Promise((resolve, reject) => {
      leave = () => resolve('lost');
      if (lost.aborted) return leave();
      chunks.next().then(
        ({ done, value }) => resolve(done === true ? null : value),
        () => reject(new McpctlError('invalid_request', 'The body did not arrive whole.')),
      );
    });
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes).trim();
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'A line is not valid UTF-8.');
  }
}
