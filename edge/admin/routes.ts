import express, { Router, type Request, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { z } from 'zod';
import { can, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { actorOf } from '../context.ts';
import type { EdgeDeps } from '../deps.ts';
import { taskOf } from '../task-of.ts';
import { taskView } from '../task-view.ts';
import type { Boards } from './board.ts';
import { withoutOutsiders } from './html.ts';
import { loginPage, messagePage, stylesheet, taskPage } from './pages.ts';
import { createAdminSessions, SESSION_MS, type AdminSessions } from './sessions.ts';

const COOKIE = 'mcpctl_admin';
const BOARD = '/admin/queues';

/** Only what this edge serves itself; no inline script or style, no frame around it, no form that leads away. */
const policy = helmet({
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

const cookieOf = (req: Request): string | undefined =>
  new RegExp(`(?:^|;\\s*)${COOKIE}=([A-Za-z0-9_-]{43})(?:;|$)`).exec(req.get('cookie') ?? '')?.[1];

/** Another site's page may make a browser send our cookie; it cannot make it say that it is our page. */
const fromOurPages: RequestHandler = (req, _res, next) => {
  if (req.method === 'GET' || req.method === 'HEAD') return next();
  const site = req.get('sec-fetch-site');
  const origin = req.get('origin');
  const same = origin !== undefined && URL.canParse(origin) && new URL(origin).host === req.get('host');
  if (site === undefined ? same : site === 'same-origin') return next();
  throw new McpctlError('forbidden', 'This is only taken from the pages of this edge itself.');
};

/** Where a person wanted to go: a path of ours, never another site. */
function nextOf(text: unknown): string {
  return typeof text === 'string' && /^\/admin\/[\w./-]*$/.test(text) && !text.includes('//') ? text : BOARD;
}

const html = (res: Response, text: string): void => void res.type('html').send(text);

/** The admin pages: a login, the board, a page per task, the calls of the API. Their own door, with a cookie for a token (SPEC §10). */
export function adminRoutes(deps: EdgeDeps): Router {
  const sessions = createAdminSessions(deps.queue);
  // Loaded by the first who looks: they are a third of what an edge would read at its start.
  let loading: Promise<Boards> | undefined;
  const boardsOf = (): Promise<Boards> =>
    (loading ??= import('./board.ts').then(({ createBoards }) => createBoards({ ...deps, basePath: BOARD })));
  const router = Router();
  router.use(policy, fromOurPages);
  router.use((_req, res, next) => {
    res.set('cache-control', 'no-store');
    next();
  });
  router.get('/', (_req, res) => res.redirect(BOARD));
  router.get('/style.css', (_req, res) => res.type('css').send(stylesheet));
  router.use(loginRoutes(deps, sessions));
  router.use(signedIn(deps, sessions));
  router.get('/api', async (_req, res) => html(res, (await import('./api-page.ts')).apiPage()));
  router.get('/tasks/:id', async (req, res) => html(res, taskPage(taskView(await taskOf(deps, req), null))));
  router.use('/queues', async (req, res, next) => {
    const actor = actorOf(req);
    if (!can(actor, 'view', { resource: 'board' })) {
      throw new McpctlError('forbidden', 'Your token is bound to pools; the board shows every pool.');
    }
    const boards = await boardsOf();
    await boards.refresh();
    withoutOutsiders(res);
    const board = can(actor, 'edit', { resource: 'board' }) ? boards.full : boards.readOnly;
    board(req, res, next);
  });
  router.use((_req, res) => html(res.status(404), messagePage('Not here', 'There is no such page.')));
  return router;
}

const formSchema = z.object({ token: z.string().max(512), next: z.string().max(512).optional() });

function loginRoutes({ authenticator }: EdgeDeps, sessions: AdminSessions): Router {
  const router = Router();
  router.get('/login', (req, res) => html(res, loginPage({ next: nextOf(req.query['next']) })));
  router.post('/login', express.urlencoded({ extended: false, limit: 4_096 }), async (req, res) => {
    const form = formSchema.safeParse(req.body);
    const next = nextOf(form.data?.next);
    const actor = form.success ? await authenticator.actorOf(form.data.token.trim()) : undefined;
    if (!actor) {
      const fault = 'That is no token of this server, or it has expired or was revoked.';
      return html(res.status(401), loginPage({ fault, next }));
    }
    const how = { httpOnly: true, sameSite: 'lax', secure: req.secure, path: '/admin' } as const;
    res.cookie(COOKIE, await sessions.begin(actor.tokenId), { ...how, maxAge: SESSION_MS });
    res.redirect(303, next);
  });
  router.get('/logout', async (req, res) => {
    const cookie = cookieOf(req);
    if (cookie !== undefined) await sessions.end(cookie);
    res.clearCookie(COOKIE, { path: '/admin' });
    res.redirect(303, '/admin/login');
  });
  return router;
}

/** A revoked token ends its sessions too: it is asked for anew with each request. */
function signedIn({ registry }: EdgeDeps, sessions: AdminSessions): RequestHandler {
  const whoIs = async (req: Request): Promise<Actor | undefined> => {
    const cookie = cookieOf(req);
    const tokenId = cookie === undefined ? undefined : await sessions.tokenIdOf(cookie);
    return tokenId === undefined ? undefined : await registry.tokens.actorOfId(tokenId);
  };
  return async (req, res, next) => {
    const actor = await whoIs(req);
    if (actor) {
      req.context.actor = actor;
      return next();
    }
    const isPage = req.method === 'GET' && (req.get('accept') ?? '').includes('text/html');
    if (!isPage) throw new McpctlError('unauthenticated', 'Sign in at /admin/login.');
    res.redirect(303, `/admin/login?next=${encodeURIComponent(req.originalUrl.split('?')[0] ?? BOARD)}`);
  };
}
