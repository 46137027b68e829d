import type { IncomingMessage } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { mostMs } from '../../core/runtime/time-of-bytes.ts';
import { piecesOf } from '../connections/pieces.ts';
import type { Room } from './room.ts';

/**
 * What chunks may weigh on the way, extensions and all. A chunk costs time, whatever is in it: one of a byte takes six
 * bytes and as long as one of a kilobyte, so there may be some of them, and no body is made of them.
 */
const WIRE_PER_BYTE = 4;
const WIRE_SPARE_BYTES = 64 * 1024;
/** The weight is looked at once in so many times. */
const WEIGHED_EACH = 128;
/** So many pieces may be of any size; beyond them a piece is this long on average. */
const FREE_PIECES = 1_000;
const PIECE_BYTES = 64;

/**
 * The whole body as it was sent, not yet decompressed. It costs its own bytes, in whatever pieces it comes, and nothing
 * any more when this has rejected. The caller releases what is returned.
 * @throws McpctlError `body_too_large`, `too_many_requests`, `invalid_request` (too slow, or broken off).
 */
export function arrive(req: IncomingMessage, { limit, reserve }: Room): Promise<GrowingBytes> {
  const bytes = new GrowingBytes(limit);
  const { socket } = req;
  const readBefore = socket.bytesRead;
  const began = clock.elapsed();
  let timer: NodeJS.Timeout | undefined;
  let times = 0;
  const whole = new Promise<void>((resolve, reject) => {
    const take = (piece: Buffer<ArrayBuffer>): void => {
      try {
        if (!bytes.take(piece)) throw new McpctlError('body_too_large');
        times += 1;
        if (times % WEIGHED_EACH === 0 && socket.bytesRead - readBefore > mostWire(bytes.length))
          throw new McpctlError('body_too_large', 'The body is sent in chunks that are mostly overhead.');
        // Pieces are counted as they come, also those that wait to be taken.
        if (piecesOf(req) > FREE_PIECES + (bytes.length + req.readableLength) / PIECE_BYTES)
          throw new McpctlError(
            'body_too_large',
            `The body is sent in too many small pieces; send ${String(PIECE_BYTES)} bytes or more in each.`,
          );
        reserve(bytes.length);
      } catch (thrown) {
        req.off('data', take);
        reject(
          thrown instanceof McpctlError ? thrown : new McpctlError('internal', undefined, { cause: thrown }),
        );
      }
    };
    const broken = (): void => reject(new McpctlError('invalid_request', 'The body did not arrive whole.'));
    const watch = (): void => {
      const leftMs = mostMs(bytes.length) - (clock.elapsed() - began);
      if (leftMs > 0) timer = setTimeout(watch, leftMs + 1);
      else reject(new McpctlError('invalid_request', 'The body did not arrive in time.'));
    };
    watch();
    req.on('data', take);
    req.once('end', resolve);
    req.once('error', broken);
    req.once('close', () => (req.readableEnded ? undefined : broken()));
    if (req.destroyed) broken();
  });
  return whole.then(
    () => {
      clearTimeout(timer);
      return bytes;
    },
    (thrown: unknown) => {
      clearTimeout(timer);
      req.removeAllListeners('data');
      bytes.release();
      throw thrown;
    },
  );
}

const mostWire = (bytes: number): number => WIRE_PER_BYTE * bytes + WIRE_SPARE_BYTES;
