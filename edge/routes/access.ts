import { Router } from 'express';
import {
  can,
  reachOf,
  reviewSchema,
  whoCanSchema,
  type Actor,
  type ReviewView,
  type Target,
  type WhoCanView,
} from '../../core/access.ts';
import { grantText } from '../../core/access/covers.ts';
import { Granted, nothingGranted, type Grant } from '../../core/access/grants.ts';
import { McpctlError } from '../../core/errors.ts';
import { isCallable, nameSchema, uuidSchema } from '../../core/names.ts';
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

/** @throws McpctlError `forbidden` */
function needMayAsk(actor: Actor): void {
  const mayAsk = (['user', 'group', 'rbac'] as const).every((resource) => can(actor, 'view', { resource }));
  if (!mayAsk)
    throw new McpctlError('forbidden', 'Only who may view users, groups and rbac may ask about others.');
}

/** Another user as if they called with a token that is bound to nothing. */
async function actingAs({ registry }: EdgeDeps, actor: Actor, name: string): Promise<Actor> {
  needMayAsk(actor);
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
async function targetFor(
  { registry }: EdgeDeps,
  actor: Actor,
  { verb, resource, name }: Asked,
): Promise<Target> {
  if (name === undefined) return {};
  const isName = nameSchema.safeParse(name).success;
  if (resource === 'llm') {
    const row = isName ? await registry.llms.byName(name) : undefined;
    if (row) return { name, ownerId: row.ownerId, poolKey: row.poolKey };
    // An alias is what is called, and nothing else: it is asked about the llm that it stands for.
    const called = verb === 'run' && isCallable(name) ? await registry.names.resolve(name) : undefined;
    if (called?.via !== 'alias' || called.llm === null) return { name };
    return { name: called.llm, ownerId: called.holderId, poolKey: called.poolKey };
  }
  if (resource === 'pool' && isName) {
    const pool = await registry.pools.byKey(name);
    return { name, poolKey: name, ...(pool && { ownerId: pool.ownerId }) };
  }
  if (resource === 'task' && uuidSchema.safeParse(name).success) {
    const row = await registry.tasks.byId(name);
    return row ? { name, ownerId: row.ownerId, poolKey: row.poolName } : { name };
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

/** An actor as they are without what is granted to them, and without a token that keeps anything from them. */
const unbound = (actor: Actor): Actor => ({ ...actor, pools: null, filter: null, granted: nothingGranted });

/** Which of some grants let it, each by itself, to who owns nothing. */
const bindingsFor = (
  actor: Actor,
  { grants, asked, target }: { grants: readonly Grant[]; asked: Asked; target: Target },
): string[] =>
  grants
    .filter((grant) => {
      const granted = new Granted({ grants: [grant], operations: [] });
      return isAllowed({ ...unbound(actor), userId: '', granted }, asked, target);
    })
    .map(grantText);

function whyOf(actor: Actor, asked: Asked, { ways, target }: { ways: readonly Way[]; target: Target }) {
  const why = ways.flatMap(({ rbac, via, grants }) =>
    bindingsFor(actor, { grants, asked, target }).map((binding) => ({ rbac, via, binding })),
  );
  const own = { rbac: '', via: 'owner', binding: `${asked.verb}:${asked.resource}` };
  return isAllowed(unbound(actor), asked, target) ? [own, ...why] : why;
}

function limitOf({ tokenName, filter, ...actor }: Actor, asked: Asked, target: Target): string {
  const isFiltered = !isAllowed({ ...actor, tokenName, filter, pools: null }, asked, target);
  if (!isFiltered || !filter) return `the token ${tokenName}, which is bound to pools`;
  const { preset, bindings } = filter.words;
  return `the token ${tokenName}, which is ${[preset, ...bindings.map(grantText)].join(', ')}`;
}

const MOST_HOLDERS = 2_000;

async function whoCan(deps: EdgeDeps, actor: Actor, asked: Asked): Promise<WhoCanView> {
  const { groups } = deps.registry;
  const target = await targetFor(deps, actor, asked);
  const by = new Map<string, string[]>();
  for (const { id, grants } of await groups.documents()) {
    const bindings = bindingsFor(actor, { grants, asked, target });
    if (bindings.length > 0) by.set(id, bindings);
  }
  const { ownerId = '' } = target;
  const isOwners = ownerId !== '' && isAllowed({ ...unbound(actor), userId: ownerId }, asked, target);
  const holders = await groups.holdersOf({
    ids: [...by.keys()],
    ownerId: isOwners ? ownerId : null,
    limit: MOST_HOLDERS + 1,
  });
  const own = `${asked.verb}:${asked.resource}`;
  const users = new Map<string, WhoCanView['items'][number]['why']>();
  for (const { user, rbacId, rbac, via } of holders.slice(0, MOST_HOLDERS))
    users.set(user, [
      ...(users.get(user) ?? []),
      ...(by.get(rbacId) ?? [own]).map((binding) => ({ rbac, via, binding })),
    ]);
  const items = [...users].map(([user, why]) => ({ user, why }));
  return { items, more: holders.length > MOST_HOLDERS };
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
    const isBound = !allowed && isAllowed({ ...actor, pools: null, filter: null }, asked, target);
    const answer: ReviewView = {
      allowed,
      why: allowed || isBound ? whyOf(actor, asked, { ways, target }) : [],
      ...(isBound && { limitedBy: limitOf(actor, asked, target) }),
    };
    res.json(answer);
  });
  router.post('/access/who-can', listsInTurn(deps), async (req, res) => {
    const asked = bodyOf(req, whoCanSchema);
    const actor = actorOf(req);
    needMayAsk(actor);
    res.json(await whoCan(deps, actor, asked));
  });
  return router;
}
