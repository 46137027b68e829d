import { Router, type Request } from 'express';
import { can, scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { nameSchema } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import { poolGuestSchema } from '../../core/pool.ts';
import type { PoolView } from '../../core/pool.ts';
import type { User } from '../../core/registry/people/users.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, bodyOf, cursorOf, queryOf } from '../http/parse.ts';
import { sharedLook } from '../live/shared.ts';
import { seenPools } from '../shown/pool-counts.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';

function keyOf(req: Request): string {
  const parsed = nameSchema.safeParse(req.params['key']);
  if (!parsed.success) throw new McpctlError('pool_not_found');
  return parsed.data;
}

async function poolViews(deps: EdgeDeps, actor: Actor, keys: readonly string[]): Promise<PoolView[]> {
  const [pools, allowed] = await Promise.all([
    seenPools(deps, actor, keys),
    deps.registry.pools.allowedIn(keys),
  ]);
  return pools.map(({ owner, view }) => {
    const { poolKey } = view;
    const target = { name: poolKey, poolKey, ...(owner && { ownerId: owner.id }) };
    const mayEdit = can(actor, 'edit', { resource: 'pool', target });
    return { ...view, ...(mayEdit && { allowed: allowed.get(poolKey) ?? [] }) };
  });
}

/** What only the pool's owner and admins may do. @throws McpctlError `pool_not_found`, `forbidden`. */
async function editable(deps: EdgeDeps, req: Request) {
  const key = keyOf(req);
  const pool = await deps.registry.pools.byKey(key);
  const target = { name: key, poolKey: key, ...(pool && { ownerId: pool.ownerId }) };
  if (!pool || !can(actorOf(req), 'view', { resource: 'pool', target }))
    throw new McpctlError('pool_not_found');
  if (!can(actorOf(req), 'edit', { resource: 'pool', target })) {
    throw new McpctlError('forbidden', `Only the owner of the pool '${pool.key}' and admins may do this.`);
  }
  return pool;
}

/** The user whom the body names. @throws McpctlError `invalid_request`. */
async function userIn(deps: EdgeDeps, req: Request): Promise<User> {
  const { user: name } = bodyOf(req, poolGuestSchema);
  const user = await deps.registry.users.byName(name);
  if (user) return user;
  const details = [{ path: 'user', message: `there is no user named '${name}'` }];
  throw new McpctlError('invalid_request', undefined, { details });
}

/** Lets a user into a pool, or out: its owner and admins only. */
async function setGuest(deps: EdgeDeps, req: Request, verb: 'allow' | 'deny') {
  const { pools } = deps.registry;
  const pool = await editable(deps, req);
  const user = await userIn(deps, req);
  await written({ ...deps, req }, { verb: 'edit', resource: 'pool', name: pool.key }, () =>
    pools[verb](pool.key, user.id, actorOf(req)),
  );
  // Also whom a token of an admin's or an admin's own right let in: they may come again by that, and are out for now.
  if (verb === 'deny' && user.id !== pool.ownerId)
    await deps.putOut.rows({ poolKey: pool.key, ownerId: user.id });
  return { poolKey: pool.key, allowed: await pools.allowed(pool.key) };
}

/**
 * Hands a pool over. An admin also gives a key that is not there yet: that is how a user gets a well-known name, or
 * one that is kept for somebody who has left.
 */
async function setOwner(deps: EdgeDeps, req: Request) {
  const actor = actorOf(req);
  const key = keyOf(req);
  const overrules = can(actor, 'edit', { resource: 'pool', target: { name: key, poolKey: key } });
  if (!overrules) await editable(deps, req);
  const user = await userIn(deps, req);
  const by = { userId: actor.userId, tokenId: actor.tokenId, overrules, actor };
  await written({ ...deps, req }, { verb: 'edit', resource: 'pool', name: key }, () =>
    deps.registry.pools.give(key, user.id, by),
  );
  await deps.putOut.unentitled();
  return { poolKey: key, owner: user.name };
}

/** `/api/v1/pools`. */
export function poolRoutes(deps: EdgeDeps): Router {
  const router = Router();

  const list = async (req: Request): Promise<object> => {
    const { limit, after } = queryOf(req, listQuerySchema);
    const scope = scopeOf(actorOf(req), 'view', 'pool');
    const from = { after: afterOf(after, nameSchema), limit: limit + 1 };
    const keys = scope ? await deps.registry.pools.list({ ...from, scope }) : [];
    const page = keys.slice(0, limit);
    const last = page.at(-1);
    return {
      items: await poolViews(deps, actorOf(req), page),
      next: keys.length > limit && last !== undefined ? cursorOf(last) : null,
    };
  };
  router.get('/pools', listsInTurn(deps), sharedLook(deps, list));

  router.get('/pools/:key', listsInTurn(deps), async (req, res) => {
    const key = keyOf(req);
    const [pool, [view], { byMember }] = await Promise.all([
      deps.registry.pools.byKey(key),
      poolViews(deps, actorOf(req), [key]),
      deps.recentEnds(actorOf(req)),
    ]);
    const target = { name: key, poolKey: key, ...(pool && { ownerId: pool.ownerId }) };
    const mayView = can(actorOf(req), 'view', { resource: 'pool', target });
    if (!mayView || !view || (!pool && view.size === 0)) throw new McpctlError('pool_not_found');
    res.json({ ...view, members: view.members.map((one) => ({ ...one, ...byMember.get(one.name) })) });
  });

  router.post('/pools/:key/allow', async (req, res) => {
    res.json(await setGuest(deps, req, 'allow'));
  });
  router.post('/pools/:key/deny', async (req, res) => {
    res.json(await setGuest(deps, req, 'deny'));
  });
  router.post('/pools/:key/owner', async (req, res) => {
    res.json(await setOwner(deps, req));
  });
  return router;
}
