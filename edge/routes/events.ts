import { Router, type Response } from 'express';
import type { Actor } from '../../core/access.ts';
import type { McpctlError } from '../../core/errors.ts';
import type { EdgeDeps } from '../deps.ts';
import type { Viewer } from '../live/live.ts';
import { actorOf } from '../http/context.ts';
import { untilClosed } from '../limits/caps.ts';
import { frameText } from '../http/sse.ts';

const PING_MS = 15_000;
/** Then a viewer comes again, and who it is is asked as of anybody. */
const LONGEST_MS = 3_600_000;
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
 * `GET /api/v1/events`: which topics changed (`pools`, `tasks`), as far as one may see them, at most once a second. It says that
 * something changed and never what. What one may see is what they may by then, and not when they began to watch.
 */
export function eventRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/events', (req, res) => {
    const actor = actorOf(req);
    untilClosed(res, deps.caps.hold(actor, { bytes: 0, streaming: true }));
    const headers = { 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' };
    res.status(200).set(headers).type('text/event-stream');
    if (req.method === 'HEAD') return void res.end();
    const viewer: Viewer = { actor, tell: (topics) => push(res, frame('changed', { topics })) };
    const leave = deps.live.watch(viewer);
    const end = (last: string): void => {
      push(res, last);
      res.end();
    };
    const signOut = (why: McpctlError): void =>
      end(frame('signed-out', { error: why.message, code: why.code }));
    const { tokenId, userName, by } = actor;
    const whyNot = (now: Actor): undefined => void (viewer.actor = now);
    const rights = { as: by && userName, whyNot };
    const letGo = deps.authority.hold({ tokenId, rights, end: signOut });
    const ping = setInterval(() => push(res, ': ping\n\n'), PING_MS);
    const longest = setTimeout(() => end(': again\n\n'), LONGEST_MS);
    const stopping = (): void => end(': stopping\n\n');
    deps.stopping.addEventListener('abort', stopping);
    res.once('close', () => {
      leave();
      letGo();
      clearInterval(ping);
      clearTimeout(longest);
      deps.stopping.removeEventListener('abort', stopping);
    });
    push(res, frame('hello', { version: deps.version, now: deps.clock.now() }));
  });
  return router;
}
