import { Router, type Request, type RequestHandler, type Response } from 'express';
import { can, seesEveryPool } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { slowStrangers } from '../middleware/strangers.ts';
import { taskOf } from '../shown/task/task-of.ts';
import { taskView } from '../shown/task/task-view.ts';
import { createBoards } from './board/boards.ts';
import { fromOurPages, policy } from './guards.ts';
import { boardStylesheet, withoutOutsiders } from './html.ts';
import { deviceApproval } from './device.ts';
import { loginRoutes, signedIn } from './login.ts';
import { html, messagePage, stylesheet, taskPage } from './pages.ts';
import { refusalsAsPages } from './refusals.ts';
import { createAdminSessions } from './sessions.ts';

const BOARD = '/admin/queues';

/** The admin pages: a login, the board, a page per task, the calls of the API. Their own door, with a cookie for a token (docs/spec.md §10). */
export function adminRoutes(deps: EdgeDeps): Router {
  const sessions = createAdminSessions(deps.registry.adminSessions);
  const router = Router();
  router.use(policy, slowStrangers(deps), fromOurPages);
  router.use((_req, res, next) => {
    res.set('cache-control', 'no-store');
    next();
  });
  router.get('/', (_req, res) => res.redirect(BOARD));
  router.get('/style.css', (_req, res) => res.type('css').send(stylesheet));
  router.get('/board.css', (_req, res) => res.type('css').send(boardStylesheet));
  router.use(loginRoutes(deps, sessions));
  router.use(signedIn(deps, sessions));
  router.get('/api', async (_req, res) => html(res, (await import('./api-page.ts')).apiPage()));
  router.get('/tasks/:id', async (req, res) => html(res, taskPage(taskView(await taskOf(deps, req), null))));
  router.use(deviceApproval(deps));
  router.use('/queues', boardRoute(deps));
  router.use((_req, res) => html(res.status(404), messagePage('Not here', 'There is no such page.')));
  router.use(refusalsAsPages(deps));
  return router;
}

function boardRoute(deps: EdgeDeps): RequestHandler {
  const boardsFor = createBoards({ ...deps, basePath: BOARD });
  return async (req, res, next) => {
    const actor = actorOf(req);
    if (!can(actor, 'view', { resource: 'board' })) {
      throw new McpctlError('forbidden', 'Your token is bound to pools; the board shows every pool.');
    }
    // Its queues are called as pools and llms are, and it shows all that have something to show.
    if (!seesEveryPool(actor))
      throw new McpctlError(
        'forbidden',
        'The board shows every pool: it is for who may view all llms and pools.',
      );
    // The board asks for one thing after the other, and each would wait for a Redis that hangs.
    await deps.queue.server.ping();
    const { readOnly, full } = await boardsFor(lookedAt(req));
    withoutOutsiders(res);
    const mayWrite = can(actor, 'edit', { resource: 'board' });
    if (mayWrite && req.method !== 'GET' && req.method !== 'HEAD') {
      // It is Redis that is written to: so the audit has it before.
      await deps.registry.audits.record(actor, { verb: 'edit', resource: 'board', id: null, name: null });
      tellOfWrite(deps, req, res);
    }
    (mayWrite ? full : readOnly)(req, res, (thrown) => next(thrown && withoutWhy(thrown)));
  };
}

/** What Bull Board or BullMQ threw may hold addresses, or a piece of what a worker wrote into a job. */
function withoutWhy(thrown: unknown): McpctlError {
  const status = (thrown as { status?: unknown } | null)?.status;
  // A name that cannot be decoded has no status.
  if (thrown instanceof URIError || (typeof status === 'number' && status < 500))
    return new McpctlError('invalid_request', 'The request could not be understood.');
  const why = 'The queues cannot be read now: Redis is away, or a job in one of them is damaged.';
  return new McpctlError('unavailable', `${why} Try again shortly.`);
}

/** The queue whose page is open: its pool's name. */
function lookedAt(req: Request): string | undefined {
  const active: unknown = req.query['activeQueue'];
  const name = typeof active === 'string' ? active : /^\/queue\/([^/]+)/.exec(req.path)?.[1];
  return name === undefined || name.length > 200 ? undefined : name.replaceAll('%3A', ':');
}

/** Every write emits one event (docs/spec.md §9). */
function tellOfWrite({ bus }: EdgeDeps, req: Request, res: Response): void {
  const { userName, tokenName } = actorOf(req);
  const name = `${req.method} ${req.path}`.slice(0, 200);
  const { requestId: reqId } = req.context;
  res.once('finish', () => {
    const outcome = res.statusCode < 400 ? 'ok' : res.statusCode < 500 ? 'forbidden' : 'unavailable';
    bus.emit('registry.written', {
      verb: 'edit',
      resource: 'board',
      name,
      actor: userName,
      tokenName,
      reqId,
      outcome,
    });
  });
}
