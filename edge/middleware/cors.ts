import type { RequestHandler } from 'express';

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';

/**
 * What a page's script may read of an answer; of the others it learns nothing. `*` would not name all of them.
 * @internal tests compare it with what answers carry
 */
export const exposedHeaders = [
  'etag',
  'idempotency-replayed',
  'location',
  'openai-processing-ms',
  'openai-version',
  'preference-applied',
  'request-id',
  'retry-after',
  'retry-after-ms',
  'x-mcpctl-model',
  'x-mcpctl-provider',
  'x-mcpctl-queue-ms',
  'x-mcpctl-task-id',
  'x-mcpctl-worker',
  'x-ratelimit-limit-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-requests',
  'x-ratelimit-reset-tokens',
  'x-request-id',
  'x-should-retry',
] as const;

/**
 * Lets the web pages of the allowed origins call us; none, unless the operator names them. There are no cookies
 * on these paths, so that a page can do nothing that its owner could not do without it. A preflight is public
 * (docs/spec.md §9), and allowed whatever headers it asks for: the SDKs send a dozen `x-stainless-*` ones, new ones with
 * each version, and no header alone gives any right.
 */
export function cors({ corsOrigins }: { corsOrigins: readonly string[] }): RequestHandler {
  const anyone = corsOrigins.includes('*');
  const allowed = new Set(corsOrigins);
  return (req, res, next) => {
    const origin = req.get('origin');
    const preflight = req.method === 'OPTIONS' && req.get('access-control-request-method') !== undefined;
    if (corsOrigins.length > 0 && !anyone) res.vary('origin');
    if (origin === undefined || (!anyone && !allowed.has(origin))) {
      // Without the headers a browser refuses the page; others never ask.
      if (preflight) res.sendStatus(204);
      else next();
      return;
    }
    res
      .set('access-control-allow-origin', anyone ? '*' : origin)
      .set('access-control-expose-headers', exposedHeaders.join(', '));
    if (!preflight) return next();
    res
      .set('access-control-allow-methods', methods)
      .set('access-control-allow-headers', req.get('access-control-request-headers') ?? '*')
      .set('access-control-max-age', '600')
      .sendStatus(204);
  };
}
