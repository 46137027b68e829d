import type { RequestHandler } from 'express';

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const exposed =
  'etag, idempotency-replayed, location, preference-applied, retry-after, x-mcpctl-model, x-mcpctl-task-id, x-request-id, x-should-retry';

/**
 * Lets the web pages of the allowed origins call us; none, unless the operator names them. There are no cookies
 * on these paths, so that a page can do nothing that its owner could not do without it. A preflight is public
 * (SPEC §9).
 */
export function cors({ corsOrigins }: { corsOrigins: readonly string[] }): RequestHandler {
  const anyone = corsOrigins.includes('*');
  const allowed = new Set(corsOrigins);
  return (req, res, next) => {
    const origin = req.get('origin');
    const preflight = req.method === 'OPTIONS' && req.get('access-control-request-method') !== undefined;
    if (origin !== undefined) res.vary('origin');
    if (origin === undefined || (!anyone && !allowed.has(origin))) {
      // Without the headers a browser refuses the page; others never ask.
      if (preflight) res.sendStatus(204);
      else next();
      return;
    }
    res.set('access-control-allow-origin', origin).set('access-control-expose-headers', exposed);
    if (!preflight) return next();
    res
      .set('access-control-allow-methods', methods)
      .set('access-control-allow-headers', req.get('access-control-request-headers') ?? '*')
      .set('access-control-max-age', '600')
      .sendStatus(204);
  };
}
