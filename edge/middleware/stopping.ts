import type { RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';

/** After SIGTERM what runs may finish, and nothing new begins here: the caller's retry finds another edge. */
export function refuseWhenStopping({ stopping }: { stopping: AbortSignal }): RequestHandler {
  return (_req, res, next) => {
    if (!stopping.aborted) return next();
    res.set('connection', 'close');
    throw new McpctlError('shutting_down', undefined, { retryAfterS: 1 });
  };
}
