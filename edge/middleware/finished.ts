import type { Request, RequestHandler } from 'express';
import type { Clock } from '../../core/runtime/clock.ts';
import { isOllamaDoor, isOpenAiDoor } from '../http/context.ts';
import type { Metrics } from '../metrics/metrics.ts';

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** The pattern of the route that answered: a bounded set, whatever paths are asked for. */
function routeOf(req: Request): string {
  const path = (req.route as { path?: unknown } | undefined)?.path;
  if (typeof path !== 'string') return 'none';
  if (isOpenAiDoor(req)) return `/v1${path}`;
  if (isOllamaDoor(req)) return `/api${path}`;
  return /^\/(ui\/)?api\/v1\//i.test(req.originalUrl) ? `/api/v1${path}` : path;
}

/** Counts each request when it has ended, streams and broken ones too. */
export function countRequests({ clock, metrics }: { clock: Clock; metrics: Metrics }): RequestHandler {
  return (req, res, next) => {
    res.once('close', () => {
      metrics.request({
        route: routeOf(req),
        method: methods.has(req.method) ? req.method : 'other',
        code: String(res.statusCode),
        seconds: (clock.elapsed() - req.context.startedAt) / 1000,
      });
    });
    next();
  };
}
