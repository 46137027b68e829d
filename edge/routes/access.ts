import { Router } from 'express';
import { can, reachOf, reviewSchema, type Actor, type ReviewView, type Target } from '../../core/access.ts';
import { grantText } from '../../core/access/covers.ts';
import { Granted } from '../../core/access/grants.ts';
import { McpctlError } from '../../core/errors.ts';
import { nameSchema } from '../../core/names.ts';
import type { Guarded, Verb } from '../../core/resources/define.ts';
import { resources, stored } from '../../core/resources/index.ts';
import { targetOf } from '../../core/registry/resources/rows.ts';
import type { Way } from '../../core/registry/identity/rights.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf } from '../http/parse.ts';
import { listsInTurn } from '../limits/turns.ts';

interface Asked {
  verb: Verb;
  resource: string;
  name?: string | undefined;
}

const guardedOf = (word: string): Guarded =>
  Object.values<Guarded>(resources).find((resource) => resource.word === word) ?? {
    word,
    may: {},
    isPrivate: false,
    reachedBy: [],
  };

/** Another user as if they called with a token that is bound to nothing. */
async function actingAs({ registry }: EdgeDeps, actor: Actor, name: string): Promise<Actor> {
  const mayAsk = (['user', 'group', 'rbac'] as const).every((resource) => can(actor, 'view', { resource }));
  if (!mayAsk)
    throw new McpctlError('forbidden', 'Only who may view users, groups and rbac may ask about others.');
  const user = await registry.users.byName(name);
  if (!user) throw new McpctlError('user_not_found', `There is no user named '${name}'.`);
  const ways = await registry.groups.waysOf(user.id);
  const granted = new Granted({ grants: ways.flatMap(({ grants }) => grants), operations: [] });
  return {
    ...actor,
    userId: user.id,
    userName: user.name,
    binding: user.binding,
    granted,
    filter: null,
    pools: null,
  };
}

/** What the call itself would ask about, where it is there. */
async function targetFor({ registry }: EdgeDeps, actor: Actor, { resource, name }: Asked): Promise<Target> {
  if (name === undefined) return {};
  const isName = nameSchema.safeParse(name).success;
  if (resource === 'llm' && isName) {
    const row = await registry.llms.byName(name);
    return row ? { name, ownerId: row.ownerId, poolKey: row.poolKey } : { name };
  }
  if (resource === 'pool' && isName) {
    const pool = await registry.pools.byKey(name);
    return { name, poolKey: name, ...(pool && { ownerId: pool.ownerId }) };
  }
  const definition = stored.find(({ word }) => word === resource);
  if (!definition) return { name };
  return registry
    .resources(definition)
    .get(name, actor)
    .then(targetOf, () => ({ name }));
}

function isAllowed(actor: Actor, { verb, resource }: Asked, target: Target): boolean {
  const { name, poolKey } = target;
  if (verb === 'run' && resource === 'llm' && name !== undefined && poolKey !== undefined)
    return reachOf(actor, { poolKey, llm: name }) !== null;
  return can(actor, verb, { resource: guardedOf(resource), target });
}

function whyOf(actor: Actor, asked: Asked, { ways, target }: { ways: readonly Way[]; target: Target }) {
  const nobody: Actor = { ...actor, pools: null, granted: new Granted({ grants: [], operations: [] }) };
  const why = ways.flatMap(({ rbac, via, grants }) =>
    grants
      .filter((grant) => {
        const granted = new Granted({ grants: [grant], operations: [] });
        return isAllowed({ ...nobody, userId: '', granted }, asked, target);
      })
      .map((grant) => ({ rbac, via, binding: grantText(grant) })),
  );
  const own = { rbac: '', via: 'owner', binding: `${asked.verb}:${asked.resource}` };
  return isAllowed(nobody, asked, target) ? [own, ...why] : why;
}

/** `POST /api/v1/access/review`: what `can` says, and by what. */
export function accessRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/access/review', listsInTurn(deps), async (req, res) => {
    const { as, ...asked } = bodyOf(req, reviewSchema);
    const caller = actorOf(req);
    const actor = as === undefined || as === caller.userName ? caller : await actingAs(deps, caller, as);
    const target = await targetFor(deps, actor, asked);
    const allowed = isAllowed(actor, asked, target);
    const ways = await deps.registry.groups.waysOf(actor.userId);
    const isBound = !allowed && isAllowed({ ...actor, pools: null }, asked, target);
    const answer: ReviewView = {
      allowed,
      why: allowed || isBound ? whyOf(actor, asked, { ways, target }) : [],
      ...(isBound && { limitedBy: `the token ${actor.tokenName}, which is bound to pools` }),
    };
    res.json(answer);
  });
  return router;
}
