import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { McpctlError } from '../../core/errors.ts';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';
import type { Room } from './room.ts';

type Decoder = ReturnType<typeof createGunzip>;
type MakeDecoder = (options: { chunkSize: number }) => Decoder;

/**
 * No text that anybody means is written at more than this, neither all of it nor what was read so far; what is smaller
 * than the spare may be.
 */
const MOST_TIMES = 100;
const SPARE_BYTES = 1024 * 1024;
/**
 * How much goes into a decoder and comes out at a time. Each time is a way to another thread and back, and memory that is
 * garbage then: at Node's own 16 KiB, a body of 44 kB that comes to 5 MB took turns of the loop 330 times.
 */
const PIECE_BYTES = 64 * 1024;

/** What undoes a body's content-encoding; undefined where there is none. @throws McpctlError `unsupported_media_type`. */
export function decoderOf(req: Request): MakeDecoder | undefined {
  switch ((req.get('content-encoding') ?? 'identity').trim().toLowerCase()) {
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip;
    case 'deflate':
      return createInflate;
    case 'br':
      return createBrotliDecompress;
    default:
      throw new McpctlError(
        'unsupported_media_type',
        'Send the body plain, or with content-encoding gzip, deflate or br.',
      );
  }
}

/**
 * What a body says that has arrived whole: one that breaks off is never decompressed, so it costs what was sent of it.
 * Ends when the caller has gone; the decoder and all that came out of it go then. The caller releases what is returned.
 * @throws McpctlError `body_too_large`, `too_many_requests`, `invalid_request` (not what its encoding says).
 */
export async function inflate(
  sent: GrowingBytes,
  decoder: MakeDecoder,
  { room, res }: { room: Room; res: Response },
): Promise<GrowingBytes> {
  const bytes = new GrowingBytes(room.limit);
  const inflating = decoder({ chunkSize: PIECE_BYTES });
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  res.once('close', leave);
  try {
    if (res.destroyed) leave();
    await pipeline(
      piecesOf(sent),
      inflating,
      async (out: AsyncIterable<Buffer>) => {
        for await (const piece of out) {
          if (!bytes.append(piece)) throw new McpctlError('body_too_large');
          // `bytesWritten` are those that it has taken: a bomb has burst long before its end.
          if (bytes.length > inflating.bytesWritten * MOST_TIMES + SPARE_BYTES) throw bombed();
          room.reserve(bytes.length);
        }
      },
      { signal: gone.signal },
    );
    return bytes;
  } catch (thrown) {
    bytes.release();
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('invalid_request', 'The body could not be read as its content-encoding says.');
  } finally {
    res.off('close', leave);
  }
}

/** Copies: a decoder works in another thread, and may still read when the memory has been given back. */
function* piecesOf(sent: GrowingBytes): Generator<Buffer> {
  for (let at = 0; at < sent.length; at += PIECE_BYTES)
    yield Buffer.from(sent.view().subarray(at, at + PIECE_BYTES));
}

function bombed(): McpctlError {
  const message = `The body inflates to more than ${String(MOST_TIMES)} times its size; send it plain.`;
  return new McpctlError('body_too_large', message);
}
