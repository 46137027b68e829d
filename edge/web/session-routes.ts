import express, { Router, type Request, type Response } from 'express';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { withOrigin } from '../audit/origin.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { written } from '../http/written.ts';
import { authenticate } from '../middleware/authenticate.ts';
import { whoamiOf } from '../routes/whoami.ts';
import type { WebSessions } from './sessions.ts';

const code = z.string().regex(/^[\w-]{43}$/);
const beginSchema = z.union([
  z.strictObject({ token: z.string().trim().min(1).max(512) }),
  z.strictObject({ once: code }),
]);

/** A proxy on this machine speaks for others; where it says so, nobody is taken to sit here. */
function isHere(req: Request): boolean {
  const { remoteAddress = '' } = req.socket;
  const isForwarded = ['x-forwarded-for', 'forwarded', 'via'].some((name) => req.get(name) !== undefined);
  return (
    !isForwarded && ipaddr.isValid(remoteAddress) && ipaddr.process(remoteAddress).range() === 'loopback'
  );
}

async function whoBegins(deps: EdgeDeps, sessions: WebSessions, req: Request): Promise<Actor> {
  const { data } = beginSchema.safeParse(req.body);
  if (!data) throw new McpctlError('invalid_request', 'Give a token.');
  if ('token' in data) {
    const actor = await deps.authenticator.actorOf(data.token, () => addressKey(req.ip));
    if (actor) return actor;
    deps.metrics.authFailed('invalid');
    throw new McpctlError(
      'unauthenticated',
      'That is no token of this server, or it has expired or was revoked.',
    );
  }
  const actor = isHere(req) ? await sessions.redeem(data.once, req) : undefined;
  if (actor) return actor;
  deps.metrics.authFailed('invalid');
  const why =
    'This link was used already, is older than two minutes, or was not opened on the machine that showed it.';
  throw new McpctlError('unauthenticated', `${why} Sign in with your token.`);
}

const isForm = (req: Request): boolean => req.is('application/x-www-form-urlencoded') !== false;

/** `/ui/session` exchanges a token, or the code of a link, for a cookie, says who that is, and ends it; `/ui/once` makes such a code for who has a token here. */
export function sessionRoutes(deps: EdgeDeps, sessions: WebSessions): Router {
  const router = Router();
  const body = [express.json({ limit: 4_096 }), express.urlencoded({ extended: false, limit: 4_096 })];
  router.post('/session', body, async (req: Request, res: Response) => {
    const actor = await whoBegins(deps, sessions, req);
    const author = withOrigin(req, actor, undefined);
    req.context.actor = author;
    const what = { verb: 'create', resource: 'browser session', name: actor.tokenName } as const;
    await written({ ...deps, req }, what, () => sessions.begin(req, res, author));
    if (isForm(req)) res.redirect(303, '/ui/status');
    else res.json(whoamiOf(actor, deps));
  });
  router.delete('/session', async (req, res) => {
    await sessions.end(req, res);
    res.status(204).end();
  });
  router.post('/once', authenticate(deps), async (req, res) => {
    if (!isHere(req)) throw new McpctlError('forbidden', 'A link is made only for who sits at this machine.');
    const made = await sessions.link(actorOf(req).tokenId);
    res.status(201).json({ once: made });
  });
  return router;
}
