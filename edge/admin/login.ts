import express, { Router, type RequestHandler } from 'express';
import { z } from 'zod';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { withOrigin } from '../audit/origin.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';
import { holdAnswer } from '../http/held-answer.ts';
import { written } from '../http/written.ts';
import { untilClosed } from '../limits/caps.ts';
import { isFromOurPages, isPage } from './guards.ts';
import { html, loginPage, logoutPage } from './pages.ts';
import { SESSION_MS, sessionCookie, sessionCookies, type AdminSessions } from './sessions.ts';

const COOKIE = 'mcpctl_admin';
const HOME = '/admin/queues';

/** Where a person wanted to go: a page of ours, never another site, nor out again. */
function nextOf(text: unknown): string {
  const here = 'http://here';
  if (typeof text !== 'string' || !text.startsWith('/admin/') || !URL.canParse(text, here)) return HOME;
  const { origin, pathname } = new URL(text, here);
  const ours = origin === here && /^\/admin\/(queues|tasks|api|device)(\/|$)/.test(pathname);
  return ours && !pathname.includes('//') ? pathname : HOME;
}

const formSchema = z.object({ token: z.string().max(512), next: z.string().max(512).optional() });

/** `/admin/login` exchanges a token for a session, `/admin/logout` ends it. */
export function loginRoutes(deps: EdgeDeps, sessions: AdminSessions): Router {
  const router = Router();
  router.get('/login', (req, res) => html(res, loginPage({ next: nextOf(req.query['next']) })));
  router.post('/login', express.urlencoded({ extended: false, limit: 4_096 }), async (req, res) => {
    const form = formSchema.safeParse(req.body);
    const next = nextOf(form.data?.next);
    const actor = form.success
      ? await deps.authenticator.actorOf(form.data.token.trim(), () => addressKey(req.ip))
      : undefined;
    if (!actor) {
      deps.metrics.authFailed('invalid');
      deps.denied.count(req, new McpctlError('unauthenticated'));
      const fault = 'That is no token of this server, or it has expired or was revoked.';
      return html(res.status(401), loginPage({ fault, next }));
    }
    const author = withOrigin(req, actor, form.data?.token);
    req.context.actor = author;
    const what = { verb: 'create', resource: 'admin session', name: actor.tokenName } as const;
    const cookie = await written({ ...deps, req }, what, () => sessions.begin(author));
    const how = { httpOnly: true, sameSite: 'lax', secure: req.secure, path: '/admin' } as const;
    res.cookie(COOKIE, cookie, { ...how, maxAge: SESSION_MS });
    res.redirect(303, next);
  });
  const leave: RequestHandler = async (req, res) => {
    for (const cookie of sessionCookies(req, COOKIE)) {
      const actor = await whoIs(deps, sessions, { cookie, address: addressKey(req.ip) });
      await sessions.end(cookie, actor && withOrigin(req, actor, undefined));
    }
    res.clearCookie(COOKIE, { path: '/admin' });
    res.redirect(303, '/admin/login');
  };
  router.post('/logout', leave);
  // A link of our own pages leaves at once; one of another site asks first.
  router.get('/logout', (req, res, next) =>
    isFromOurPages(req) ? leave(req, res, next) : html(res, logoutPage()),
  );
  return router;
}

/** @throws McpctlError `too_many_requests` where their address has guessed too many cookies. */
async function whoIs(
  { registry, authenticator }: Pick<EdgeDeps, 'registry' | 'authenticator'>,
  sessions: AdminSessions,
  { cookie, address }: { cookie: string | undefined; address: string },
): Promise<Actor | undefined> {
  if (cookie === undefined) return undefined;
  return await authenticator.askAnew({
    text: cookie,
    address,
    async look() {
      const tokenId = await sessions.tokenIdOf(cookie);
      return tokenId === undefined ? undefined : await registry.tokens.actorOfId(tokenId);
    },
  });
}

/** A revoked token ends its sessions too: it is asked for anew with each request. */
export function signedIn(deps: EdgeDeps, sessions: AdminSessions): RequestHandler {
  return async (req, res, next) => {
    const cookie = sessionCookie(req, COOKIE);
    const actor = await whoIs(deps, sessions, { cookie, address: addressKey(req.ip) });
    if (actor) {
      req.context.actor = withOrigin(req, actor, undefined);
      req.context.browser = cookie && sessions.storedAs(cookie);
      untilClosed(res, holdAnswer(deps.authority, { res }));
      await deps.rates.ofUser(actor.userId, req, res);
      return res.destroyed ? undefined : next();
    }
    if (!isPage(req)) throw new McpctlError('unauthenticated', 'Sign in at /admin/login.');
    res.redirect(303, `/admin/login?next=${encodeURIComponent(req.originalUrl.split('?')[0] ?? HOME)}`);
  };
}
