import { ServerResponse } from 'node:http';
import type { Express, Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { reserveAnswer } from '../body/room.ts';
import type { Caps } from '../limits/caps.ts';
import { deliveryOf, untilTaken, type Delivery } from '../http/delivered.ts';
import { sendError } from '../http/error-body.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** A longer answer is handed to the connection in pieces: one that is taken slowly is taken all the same. */
const PIECE_BYTES = 32 * 1024;

interface DeliverDeps {
  caps: Pick<Caps, 'hold'>;
  metrics: Pick<Metrics, 'stalled'>;
  config: { stalledReaderMs: number };
}

/**
 * How every answer leaves: lists, tasks, pages, errors, the ends of streams. A reader that takes nothing is dropped, and
 * a long answer that waits to be read counts as its reader's bytes under way; over the cap it becomes 429. It is the
 * `end` of all answers of an app, and not one more function for each.
 */
export function deliver(app: Pick<Express, 'response'>, deps: DeliverDeps): void {
  const { caps } = deps;
  const delivery = deliveryOf(deps);
  app.response.end = function (this: Response, ...given: unknown[]): Response {
    const [chunk] = given;
    if (isLong(chunk) && this.req.method !== 'HEAD') void inPieces({ res: this, caps, delivery }, chunk);
    else endWatched({ res: this, delivery }, given);
    return this;
  };
}

interface Leaving {
  res: Response;
  delivery: Delivery;
  caps: Pick<Caps, 'hold'>;
}

function endWatched({ res, delivery }: Pick<Leaving, 'res' | 'delivery'>, given: unknown[]): void {
  ServerResponse.prototype.end.apply(res, given as Parameters<ServerResponse['end']>);
  // What the system has taken waits for nobody here: most answers go at once, and cost no timer.
  const isTaken = res.writableFinished || res.socket?.writableLength === 0;
  if (!isTaken) void untilTaken(res, 'finish', delivery);
}

async function inPieces(leaving: Leaving, chunk: string | Uint8Array): Promise<void> {
  const { res, caps, delivery } = leaving;
  try {
    if (res.req.context.actor) reserveAnswer(res.req, caps, chunk.length);
  } catch (thrown) {
    return refuse(res, thrown);
  }
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  for (let at = 0; at < bytes.length && !res.destroyed; at += PIECE_BYTES) {
    if (!res.write(bytes.subarray(at, at + PIECE_BYTES))) await untilTaken(res, 'drain', delivery);
  }
  if (!res.destroyed) endWatched(leaving, []);
}

const isLong = (chunk: unknown): chunk is string | Uint8Array =>
  (typeof chunk === 'string' || chunk instanceof Uint8Array) && chunk.length > PIECE_BYTES;

/** Half an answer cannot become an error: the caller sees the connection break. */
function refuse(res: Response, thrown: unknown): void {
  if (res.headersSent) return void res.destroy();
  sendError(res.req, res, thrown instanceof McpctlError ? thrown : new McpctlError('internal'));
}
