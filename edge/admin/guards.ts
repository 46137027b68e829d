import type { Request, RequestHandler } from 'express';
import helmet from 'helmet';
import { McpctlError } from '../../core/errors.ts';

/** Only what this edge serves itself; no inline script or style, no frame around it, no form that leads away. */
export const policy = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'script-src': ["'self'"],
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:'],
      'font-src': ["'self'"],
      'connect-src': ["'self'"],
      'base-uri': ["'self'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'none'"],
    },
  },
  strictTransportSecurity: false,
});

/** Another site's page may make a browser send our cookie; it cannot make it say that it is our page. */
export function isFromOurPages(req: Request): boolean {
  const site = req.get('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = req.get('origin');
  return origin !== undefined && URL.canParse(origin) && new URL(origin).host === req.host;
}

export const fromOurPages: RequestHandler = (req, _res, next) => {
  if (req.method === 'GET' || req.method === 'HEAD' || isFromOurPages(req)) return next();
  throw new McpctlError('forbidden', 'This is only taken from the pages of this edge itself.');
};

/** Whether a person looks, rather than a script or program. */
export const isPage = (req: Request): boolean =>
  req.method === 'GET' && (req.get('accept') ?? '').includes('text/html');
