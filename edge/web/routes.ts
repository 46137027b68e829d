import { Router, type Request, type RequestHandler, type Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { isFromOurPages, isPage } from '../admin/guards.ts';
import type { EdgeDeps } from '../deps.ts';
import { answerErrors, noSuchRoute } from '../middleware/errors.ts';
import { authenticateBy } from '../middleware/authenticate.ts';
import { slowStrangers } from '../middleware/strangers.ts';
import { readWebFiles, type WebFiles } from './files.ts';
import { sessionRoutes } from './session-routes.ts';
import { createWebSessions } from './sessions.ts';
import { policy, shell } from './shell.ts';
import { statusRoutes } from './status.ts';

const reads: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** A cookie comes along by itself: nothing is changed or shown unless the browser says that a page of ours asks, or a person by its address. */
const ourPagesAlone: RequestHandler = (req, _res, next) => {
  const site = req.get('sec-fetch-site');
  const isRead = reads.has(req.method) && (site === undefined || site === 'same-origin' || site === 'none');
  if (isRead || isFromOurPages(req)) return next();
  throw new McpctlError('forbidden', 'This is only taken from the pages of this edge itself.');
};

/** `/ui/once` has no cookie, but a token, as every call of programs. */
const unlessByToken: RequestHandler = (req, res, next) =>
  req.path === '/once' ? next() : ourPagesAlone(req, res, next);

const noStore: RequestHandler = (_req, res, next) => {
  res.set('cache-control', 'no-store');
  next();
};

/** Named by their content, so that a browser asks once. */
function fileRoutes(files: () => Promise<WebFiles | undefined>): Router {
  const router = Router();
  router.get('/a/:name', async (req: Request<{ name: string }>, res: Response) => {
    const file = (await files())?.byName.get(req.params.name);
    if (!file) throw new McpctlError('route_not_found', 'There is no such file of the page; reload it.');
    res
      .set({ 'cache-control': 'public, max-age=31536000, immutable', vary: 'accept-encoding' })
      .type(file.type);
    const isZipped = req.acceptsEncodings('gzip') === 'gzip';
    if (isZipped) res.set('content-encoding', 'gzip');
    res.send(isZipped ? file.zipped : file.bytes);
  });
  return router;
}

interface Inside {
  /** The calls of `/api/v1`, for who that says they are. */
  api: (who: RequestHandler) => Router;
}

/**
 * The page for browsers (docs/spec.md §17): `/ui/`, what it is made of, its sessions, and the calls of `/api/v1` under its
 * cookie. No other path takes that cookie.
 */
export function webRoutes(deps: EdgeDeps, { api }: Inside): Router {
  const sessions = createWebSessions(deps);
  let reading: Promise<WebFiles | undefined> | undefined;
  // Read when somebody first asks: most edges of a large installation never show it.
  const files = (): Promise<WebFiles | undefined> => (reading ??= readWebFiles());
  const ui = Router();
  ui.use('/api/v1', noStore, ourPagesAlone, api(authenticateBy(sessions, deps)));
  ui.use(slowStrangers(deps), policy);
  ui.use(fileRoutes(files));
  ui.use(noStore, unlessByToken, sessionRoutes(deps, sessions), statusRoutes(deps, sessions));
  ui.get(/^/, async (_req, res) => {
    const built = await files();
    if (built) return void res.type('html').send(shell(built));
    throw new McpctlError('unavailable', 'The page was not built here: run `npm run build`.');
  });
  ui.use(noSuchRoute());
  const router = Router();
  router.get('/', (req, res, next) => (isPage(req) ? res.redirect(302, '/ui/') : next()));
  router.use('/ui', ui);
  router.use('/ui', answerErrors(deps));
  return router;
}
