import type { Readable } from 'node:stream';
import { ByteLines } from '../../../core/byte-lines.ts';
import { McpctlError } from '../../../core/errors.ts';
import { loopTurn } from '../../../core/loop-turns.ts';

export interface LineLimits {
  /** A longer line is refused as soon as that is seen. */
  limitBytes: number;
  /** Makes sure of room for so many bytes of an unfinished line. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
  /** Is told of each piece: a long line is on its way for long. */
  arrives?: () => void;
  /** Who takes turns with others while there are many lines. */
  owner: string;
  /** Ends the reading: nobody wants the rest. */
  lost: AbortSignal;
}

/** So many lines are one slice of work, empty ones too. */
const LINES_A_TURN = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The lines of a body, one at a time, as they arrive; nothing is read ahead of what is asked for, and no more is held
 * than one line. Ends early when `lost` aborts. The body itself is left as it is.
 * @throws McpctlError `body_too_large`, `invalid_json` (not UTF-8), `invalid_request` (it broke off).
 */
export async function* linesOf(body: Readable, limits: LineLimits): AsyncGenerator<string> {
  const { limitBytes, reserve, arrives, owner, lost } = limits;
  let count = 0;
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const aborted = new Promise<null>((resolve) => {
    if (lost.aborted) resolve(null);
    lost.addEventListener('abort', () => resolve(null), { once: true });
  });
  const lines = new ByteLines(limitBytes);
  try {
    for (;;) {
      const next = await Promise.race([nextOf(chunks), aborted]);
      if (next === null) return;
      if (next.done) break;
      arrives?.();
      for (const line of lines.feed(next.value)) {
        count += 1;
        if (count % LINES_A_TURN === 0) await loopTurn(owner);
        const text = line.byteLength === 0 ? '' : textOf(line);
        if (text !== '') yield text;
        if (lost.aborted) return;
      }
      reserve(lines.held);
    }
    const last = textOf(lines.rest());
    if (last !== '') yield last;
  } finally {
    lines.release();
  }
}

async function nextOf(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
  try {
    return await chunks.next();
  } catch (_thrown) {
    throw new McpctlError('invalid_request', 'The body did not arrive whole.');
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes).trim();
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'A line is not valid UTF-8.');
  }
}
