import type { RequestHandler } from 'express';

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const exposed = 'etag, location, retry-after, x-mcpctl-model, x-mcpctl-task-id, x-request-id, x-should-retry';

/**
 * Lets web pages call us: a token must be sent by hand and there are no cookies on these paths, so that a
 * page can do nothing that its owner could not do without it. A preflight is public (SPEC §9).
 */
export function cors(): RequestHandler {
  return (req, res, next) => {
    if (req.get('origin') === undefined) return next();
    res.set('access-control-allow-origin', '*').set('access-control-expose-headers', exposed);
    const asked = req.get('access-control-request-method');
    if (req.method !== 'OPTIONS' || asked === undefined) return next();
    res
      .set('access-control-allow-methods', methods)
      .set('access-control-allow-headers', req.get('access-control-request-headers') ?? '*')
      .set('access-control-max-age', '600')
      .sendStatus(204);
  };
}
