import type { Request, RequestHandler, Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { roomFor } from '../body/room.ts';
import type { Caps } from '../caps.ts';
import { deliveryOf, untilTaken } from '../delivered.ts';
import { sendError } from '../error-body.ts';
import type { Metrics } from '../metrics.ts';

/** A longer answer is handed to the connection in pieces: one that is taken slowly is taken all the same. */
const PIECE_BYTES = 32 * 1024;

interface DeliverDeps {
  caps: Pick<Caps, 'hold'>;
  metrics: Pick<Metrics, 'stalled'>;
  config: { stalledReaderMs: number };
}

/**
 * How every answer leaves: lists, tasks, pages, errors, the ends of streams. A reader that takes nothing is dropped, and
 * a long answer that waits to be read counts as its reader's bytes under way; over the cap it becomes 429.
 */
export function deliver({ caps, ...deps }: DeliverDeps): RequestHandler {
  const delivery = deliveryOf(deps);
  return (req, res, next) => {
    const reserve = roomFor({ req, res }, caps);
    req.context.reserveAnswer = reserve;
    const end = res.end.bind(res) as (...given: unknown[]) => Response;
    const endWatched = (given: unknown[]): void => {
      end(...given);
      // What the system has taken waits for nobody here: most answers go at once, and cost no timer.
      const isTaken = res.writableFinished || res.socket?.writableLength === 0;
      if (!isTaken) void untilTaken(res, 'finish', delivery);
    };
    res.end = ((...given: unknown[]) => {
      const [chunk] = given;
      if (!isLong(chunk) || req.method === 'HEAD') endWatched(given);
      else void inPieces(chunk);
      return res;
    }) as Response['end'];
    const inPieces = async (chunk: string | Uint8Array): Promise<void> => {
      try {
        if (req.context.actor) reserve(chunk.length);
      } catch (thrown) {
        return refuse(req, res, thrown);
      }
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      for (let at = 0; at < bytes.length && !res.destroyed; at += PIECE_BYTES) {
        if (!res.write(bytes.subarray(at, at + PIECE_BYTES))) await untilTaken(res, 'drain', delivery);
      }
      if (!res.destroyed) endWatched([]);
    };
    next();
  };
}

const isLong = (chunk: unknown): chunk is string | Uint8Array =>
  (typeof chunk === 'string' || chunk instanceof Uint8Array) && chunk.length > PIECE_BYTES;

/** Half an answer cannot become an error: the caller sees the connection break. */
function refuse(req: Request, res: Response, thrown: unknown): void {
  if (res.headersSent) return void res.destroy();
  sendError(req, res, thrown instanceof McpctlError ? thrown : new McpctlError('internal'));
}
