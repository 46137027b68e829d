import type { Readable } from 'node:stream';
import { McpctlError } from '../../../core/errors.ts';

export interface LineLimits {
  /** A longer line is refused as soon as that is seen. */
  limitBytes: number;
  /** Makes sure of room for so many bytes of an unfinished line. @throws McpctlError `too_many_requests`. */
  reserve: (bytes: number) => void;
  /** Ends the reading: nobody wants the rest. */
  lost: AbortSignal;
}

const LF = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The lines of a body, one at a time, as they arrive; nothing is read ahead of what is asked for, and no more is held
 * than one line. Ends early when `lost` aborts. The body itself is left as it is.
 * @throws McpctlError `body_too_large`, `invalid_json` (not UTF-8), `invalid_request` (it broke off).
 */
export async function* linesOf(body: Readable, limits: LineLimits): AsyncGenerator<string> {
  const { limitBytes, reserve, lost } = limits;
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const aborted = new Promise<null>((resolve) => {
    if (lost.aborted) resolve(null);
    lost.addEventListener('abort', () => resolve(null), { once: true });
  });
  let held: Buffer[] = [];
  let size = 0;
  for (;;) {
    const next = await Promise.race([nextOf(chunks), aborted]);
    if (next === null) return;
    if (next.done) break;
    let rest = next.value;
    for (let at = rest.indexOf(LF); at >= 0; at = rest.indexOf(LF)) {
      if (size + at > limitBytes) throw new McpctlError('body_too_large');
      const line = textOf([...held, rest.subarray(0, at)]);
      held = [];
      size = 0;
      rest = rest.subarray(at + 1);
      if (line !== '') yield line;
      if (lost.aborted) return;
    }
    size += rest.length;
    if (size > limitBytes) throw new McpctlError('body_too_large');
    reserve(size);
    if (rest.length > 0) held.push(rest);
  }
  const last = textOf(held);
  if (last !== '') yield last;
}

async function nextOf(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
  try {
    return await chunks.next();
  } catch (_thrown) {
    throw new McpctlError('invalid_request', 'The body did not arrive whole.');
  }
}

function textOf(bytes: Buffer[]): string {
  try {
    return utf8.decode(bytes.length === 1 ? bytes[0] : Buffer.concat(bytes)).trim();
  } catch (_thrown) {
    throw new McpctlError('invalid_json', 'A line is not valid UTF-8.');
  }
}
