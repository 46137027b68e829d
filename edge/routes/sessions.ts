import { Router, type Request } from 'express';
import { z } from 'zod';
import { can, scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { holdSession } from '../../core/flow/hold.ts';
import type { Hold } from '../../core/llm.ts';
import { MOST_SESSIONS, sessionListQuerySchema, type SessionView } from '../../core/member/session.ts';
import { storedIdSchema } from '../../core/names.ts';
import { sessionUsageQuerySchema } from '../../core/operator/usage.ts';
import type { WorkerRow } from '../../core/registry/people/workers.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, cursorOf, queryOf } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';
import { sessionViews } from '../sessions/view.ts';

const LONGEST_NAME = 64;

/** @throws McpctlError `worker_not_found`, the same for one that is not there and one that may not be seen. */
async function rowOf(deps: EdgeDeps, req: Request): Promise<WorkerRow> {
  const asked = String(req.params['id']);
  const scope = scopeOf(actorOf(req), 'view', 'session');
  const row =
    scope && asked.length <= LONGEST_NAME ? await deps.registry.workers.find(asked, scope) : undefined;
  if (!row) throw new McpctlError('worker_not_found');
  return row;
}

/** A bound token reaches one by all that it publishes: then each of its pools is asked about. @throws McpctlError `forbidden`. */
async function needMay(
  deps: EdgeDeps,
  actor: Actor,
  { verb, row: { id, ownerId } }: { verb: 'edit' | 'delete'; row: WorkerRow },
): Promise<void> {
  const llms = actor.pools === null ? [] : await deps.registry.llms.bySession(id);
  const targets = llms.length === 0 ? [{}] : llms.map(({ poolKey }) => ({ poolKey }));
  const may = targets.every((target) =>
    can(actor, verb, { resource: 'session', target: { ...target, ownerId, name: id } }),
  );
  if (!may) throw new McpctlError('forbidden', `You may not ${verb} session '${id}'.`);
}

async function one(deps: EdgeDeps, actor: Actor, row: WorkerRow): Promise<SessionView> {
  const [view] = await sessionViews(deps, actor, [row]);
  if (!view) throw new McpctlError('worker_not_found');
  return view;
}

async function setHold(deps: EdgeDeps, req: Request, hold: Hold | null): Promise<SessionView> {
  const actor = actorOf(req);
  const row = await rowOf(deps, req);
  const { id } = row;
  await needMay(deps, actor, { verb: 'edit', row });
  const isThere = await written({ ...deps, req }, { verb: 'edit', resource: 'session', name: id }, () =>
    holdSession(deps, { id, hold, author: actor }),
  );
  if (!isThere) throw new McpctlError('worker_not_found');
  return await one(deps, actor, await rowOf(deps, req));
}

/** As one whose token was revoked: nothing more is claimed, what runs is taken from it, and it may not come back as this session. */
async function revoke(deps: EdgeDeps, req: Request): Promise<void> {
  // What is asked besides, as a trial, is not passed over.
  queryOf(req, z.strictObject({}));
  const actor = actorOf(req);
  const row = await rowOf(deps, req);
  const { id } = row;
  await needMay(deps, actor, { verb: 'delete', row });
  const { workers } = deps.registry;
  const isThere = await written({ ...deps, req }, { verb: 'delete', resource: 'session', name: id }, () =>
    workers.revoke(id, actor),
  );
  if (!isThere) throw new McpctlError('worker_not_found');
  // A worker's own credential has ended with it, and whatever else publishes with that.
  deps.authenticator.forget();
  await deps.authority.ask();
  await deps.putOut.session({ sessionId: id, boot: row.instanceId ?? id });
  await deps.putOut.unentitled();
}

/** `/api/v1/sessions`: workers, for whose they are and for who may govern them. */
export function sessionRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/sessions', listsInTurn(deps), async (req, res) => {
    const { limit, after } = queryOf(req, sessionListQuerySchema);
    const actor = actorOf(req);
    const scope = scopeOf(actor, 'view', 'session');
    const from = { after: afterOf(after, storedIdSchema), limit: Math.min(limit, MOST_SESSIONS) };
    const page = scope ? await deps.registry.workers.list({ ...from, scope }) : { items: [], more: false };
    const last = page.items.at(-1);
    res.json({
      items: await sessionViews(deps, actor, page.items),
      next: page.more && last ? cursorOf(last.id) : null,
    });
  });
  router.get(
    '/sessions/:id',
    async (req, res) => void res.json(await one(deps, actorOf(req), await rowOf(deps, req))),
  );
  router.get('/sessions/:id/usage', listsInTurn(deps), async (req, res) => {
    const { hours } = queryOf(req, sessionUsageQuerySchema);
    const { id: sessionId } = await rowOf(deps, req);
    res.json({ items: await deps.registry.usages.ofSession({ sessionId, hours }) });
  });
  router.post('/sessions/:id/pause', async (req, res) => void res.json(await setHold(deps, req, 'paused')));
  router.post('/sessions/:id/drain', async (req, res) => void res.json(await setHold(deps, req, 'draining')));
  router.post('/sessions/:id/resume', async (req, res) => void res.json(await setHold(deps, req, null)));
  router.delete('/sessions/:id', async (req, res) => {
    await revoke(deps, req);
    res.status(204).end();
  });
  return router;
}
