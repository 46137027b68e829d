import { Router, type Response } from 'express';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { EdgeDeps } from '../deps.ts';
import type { Viewer } from '../live/live.ts';
import { actorOf } from '../http/context.ts';
import { untilOver } from '../http/gone.ts';
import { untilClosed } from '../limits/caps.ts';
import { frameText } from '../http/sse.ts';

const PING_MS = 15_000;
/** A viewer that takes nothing is let go of: it comes back and asks anew. */
const MOST_BYTES = 64 * 1024;

/** Writes without waiting: nobody who watches holds anything up. */
function push(res: Response, frame: string): void {
  if (res.writableEnded || res.destroyed) return;
  res.write(frame);
  if (res.writableLength > MOST_BYTES) res.destroy();
}

const frame = (event: string, data: object): string => frameText({ event, data: JSON.stringify(data) });

/**
 * `GET /api/v1/events`: which topics changed (`pools`, `tasks`, `audit`), as far as one may see them, at most once a second, and that the
 * stores are `away`. It says that something changed, `agoMs` ago at least, and never what. What one may see is what they may by then, and not when they began to watch.
 */
export function eventRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/events', (req, res) => {
    const actor = actorOf(req);
    untilClosed(res, deps.caps.hold(actor, { bytes: 0, streaming: true }));
    const headers = { 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' };
    res.status(200).set(headers).type('text/event-stream');
    if (req.method === 'HEAD') return void res.end();
    const viewer: Viewer = {
      actor,
      tell: (topics, agoMs) => push(res, frame('changed', { topics, agoMs: Math.floor(agoMs) })),
      away: (forMs) => push(res, frame('away', { forMs })),
    };
    const leave = deps.live.watch(viewer);
    const release = untilOver(deps, {
      res,
      whyNot: (now: Actor): undefined => void (viewer.actor = now),
      end(why) {
        if (why === 'left') return;
        const isOut = why instanceof McpctlError;
        push(res, isOut ? frame('signed-out', { error: why.message, code: why.code }) : `: ${why}\n\n`);
        res.end();
      },
    });
    const ping = setInterval(() => push(res, ': ping\n\n'), PING_MS);
    res.once('close', () => {
      leave();
      release();
      clearInterval(ping);
    });
    const awayForMs = deps.live.awayForMs();
    push(res, frame('hello', { version: deps.version, now: deps.clock.now(), awayForMs }));
  });
  return router;
}
