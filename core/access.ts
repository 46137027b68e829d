import { z } from 'zod';
import { presets, type TokenFilter } from './access/filter.ts';
import { closed, grantable, operations, type Granted, type Operation } from './access/grants.ts';
import type { Origin } from './audit/event.ts';
import { nameSchema, uuidSchema } from './names.ts';
import { grantSchema } from './resources/people/grant.ts';
import type { Guarded, Verb, Visibility } from './resources/define.ts';
import { resources, type Resource } from './resources/index.ts';

export const bindings = ['admin', 'user'] as const;

/** Who calls: made by the one authentication point (edge/middleware/authenticate.ts) and by nobody else. */
export interface Actor {
  userId: string;
  userName: string;
  tokenId: string;
  tokenName: string;
  /** When the token ends by itself; absent or null: not at all. */
  tokenExpiresAt?: Date | null;
  /** The word that the last release has for it; no right is read from it. */
  binding: (typeof bindings)[number];
  /** All that the user is granted, by whatever way; read here alone. */
  granted: Granted;
  /** What the token lets through of that, and of what is the user's own; null = everything. */
  filter: TokenFilter | null;
  /** Pool keys that the token is bound to; null = every pool. */
  pools: readonly string[] | null;
  /** Who it is that acts as this user, with a token of their own; absent: the user themselves. */
  by?: Impersonator;
  /** Where the request came from that they ask with; no right is read from it. */
  origin?: Origin;
}

export interface Impersonator {
  userId: string;
  userName: string;
  /** They have `logs`: without it they read nothing of what the user asked and was answered. */
  readsBodies: boolean;
}

/** What nobody does as somebody else: to change who is who and who may what, and to publish. */
const isBeyondImpersonation = (verb: Verb, { word }: Guarded): boolean =>
  verb !== 'view' && (closed.includes(word) || word === 'session');

/** What the verb is about: what it is called, whose it is, which pool it concerns, and for a token, or what belongs to one, which. */
export interface Target {
  /** Absent: may they at all? That is answered by what is granted without a name, and by ownership. */
  name?: string;
  ownerId?: string;
  poolKey?: string;
  tokenId?: string;
  /** Of what may be everybody's to see; undefined: its owner's alone. */
  visibility?: Visibility;
}

/** By its word, or by its definition. */
const rightsOf = (resource: Resource | Guarded): Guarded =>
  typeof resource === 'string' ? resources[resource] : resource;

/**
 * May this actor do that? Yes if it is granted (core/access/grants.ts), or theirs and the resource's own definition leaves
 * that to owners (core/resources), and if the token lets it through (core/access/filter.ts). A token bound to pools may do
 * so only to what is in them (`isWithin`), whoever's token it is. A caller turns `false` into 404 where the existence itself is private, into 403
 * where the whole action is closed. Who makes something owns it. Lists ask `scopeOf`, which says the same of many rows.
 */
export function can(
  actor: Actor,
  verb: Verb,
  { resource, target = {} }: { resource: Resource | Guarded; target?: Target },
): boolean {
  const rights = rightsOf(resource);
  if (actor.by && isBeyondImpersonation(verb, rights)) return false;
  if (actor.pools !== null && !isWithin(actor, actor.pools, { rights, target })) return false;
  return userMay(actor, verb, { rights, target }) && letsThrough(actor, verb, { rights, target });
}

/** An operation is no verb on anything: it is granted by itself, and let through by itself. */
export const canDo = ({ granted, filter, by }: Actor, operation: Operation): boolean =>
  (by === undefined || (by.readsBodies && operation === 'logs')) &&
  granted.rights.operations.includes(operation) &&
  (filter === null || filter.granted.rights.operations.includes(operation));

interface Question {
  rights: Guarded;
  target: Target;
}

const userMay = (actor: Actor, verb: Verb, question: Question): boolean =>
  isGranted(actor, verb, question) || owns(actor, verb, question);

function letsThrough({ filter, userId }: Actor, verb: Verb, { rights, target }: Question): boolean {
  if (filter === null || isGranted({ granted: filter.granted, userId }, verb, { rights, target }))
    return true;
  const { ownerId = verb === 'create' ? userId : undefined } = target;
  return ownerId === userId && filter.ownAllows(verb, rights);
}

type Asker = Pick<Actor, 'granted' | 'userId'>;

function isGranted({ granted, userId }: Asker, verb: Verb, { rights, target }: Question): boolean {
  const { name, ownerId = userId } = target;
  if (!granted.allows(verb, rights, name)) return false;
  // What is made belongs to who makes it: to make another's is to change what they have.
  const isForAnother = verb === 'create' && rights.isPrivate && ownerId !== userId;
  return !isForAnother || granted.allows('edit', rights, name);
}

/** What is private is made by everyone as their own, and as another's by nobody who is not granted that. */
const whoMay = (verb: Verb, { may, isPrivate }: Guarded): Guarded['may'][Verb] =>
  verb === 'create' && isPrivate && may.create === 'everyone' ? 'owner' : may[verb];

function owns({ userId }: Actor, verb: Verb, { rights, target }: Question): boolean {
  const { ownerId = verb === 'create' ? userId : undefined } = target;
  const who = whoMay(verb, rights);
  if (who === 'everyone' || (who === 'shared' && target.visibility === 'shared')) return true;
  return who !== undefined && ownerId === userId;
}

/** An llm as rights see it: in which pool, and which of them; null where the pool itself is meant. */
export interface Callee {
  poolKey: string;
  llm: string | null;
  /** Whose it is: they see it, and run it as everybody else. */
  holderId?: string;
}

/**
 * What a call may reach: any member of a pool, one llm and no other, or nothing. Who may run the pool may run whatever is in
 * it; who may run one llm is answered by that alone.
 */
export const reachOf = (actor: Actor, callee: Callee): 'pool' | 'llm' | null => reachBy(actor, 'run', callee);

/** Whether it is there for an actor at all. */
export const seesCallee = (actor: Actor, callee: Callee): boolean => reachBy(actor, 'view', callee) !== null;

/** Llms by name, and all that are in pools by theirs. */
export interface Reach {
  llms: readonly string[];
  pools: readonly string[];
}

/** `reachOf` of many: what an actor may run is in each of these, in its pools or by its name. None: it may run all. */
export function reachesOf({ granted, filter }: Actor): Reach[] {
  return [granted, ...(filter === null ? [] : [filter.granted])].flatMap((side) => {
    const [llms, pools] = [side.namesOf('run', resources.llm), side.namesOf('run', resources.pool)];
    return llms === null || pools === null ? [] : [{ llms, pools }];
  });
}

/** The narrower of what the user reaches and what the token lets through: a pool of the one holds an llm of the other. */
function reachBy(
  actor: Actor,
  verb: 'run' | 'view',
  { poolKey, llm, holderId }: Callee,
): 'pool' | 'llm' | null {
  if (actor.pools?.includes(poolKey) === false) return null;
  const owned = holderId === undefined ? {} : { ownerId: holderId };
  const ofPool = { rights: resources.pool, target: { name: poolKey, poolKey, ...(llm === null && owned) } };
  const ofLlm = llm === null ? null : { rights: resources.llm, target: { name: llm, poolKey, ...owned } };
  let isWhole = true;
  for (const says of [userMay, letsThrough]) {
    if (says(actor, verb, ofPool)) continue;
    if (ofLlm === null || !says(actor, verb, ofLlm)) return null;
    isWhole = false;
  }
  return isWhole ? 'pool' : 'llm';
}

/**
 * Closed by default: a bound token reaches what lies in one of its pools, and beside that itself and its own sessions.
 * What names no pool (users, metrics, the board, other tokens, projects, whatever is added next) is out of its reach.
 */
function isWithin(
  { tokenId }: Actor,
  pools: readonly string[],
  { rights: { reachedBy }, target }: { rights: Guarded; target: Target },
): boolean {
  if (target.poolKey !== undefined && reachedBy.includes('pool')) return pools.includes(target.poolKey);
  return target.tokenId === tokenId && reachedBy.includes('token');
}

/** The rows of a resource that an actor may do something to: those that meet each of these; null asks nothing. */
export interface Scope {
  ownerId: string | null;
  /** Beside the owner's those that are called so: then `ownerId` asks nothing of them. */
  orNames: readonly string[];
  pools: readonly string[] | null;
  tokenId: string | null;
  /** Beside the owner's those that are shared: then `ownerId` asks nothing of them. */
  orShared: boolean;
  /** What a token lets through besides: rows of this owner, or called so. */
  within: { ownerId: string; names: readonly string[] } | null;
}

/** For what a process does on nobody's behalf. */
export const everything: Scope = {
  ownerId: null,
  orNames: [],
  orShared: false,
  pools: null,
  tokenId: null,
  within: null,
};

/** No row has this owner, and no user this id. */
export const NOBODY = '00000000-0000-0000-0000-000000000000';

/**
 * `can` of many rows at once, to be turned into SQL: a row is in the scope exactly if `can` says yes of it.
 * @returns null when that is none at all.
 */
export function scopeOf(actor: Actor, verb: Verb, resource: Resource | Guarded): Scope | null {
  const rights = rightsOf(resource);
  const { reachedBy } = rights;
  if (actor.by && isBeyondImpersonation(verb, rights)) return null;
  const granted = whoseOf(actor, verb, rights);
  const whose = granted && letThrough(granted, actor, { verb, rights });
  if (!whose) return null;
  if (actor.pools === null) return whose;
  if (reachedBy.includes('pool')) return actor.pools.length === 0 ? null : { ...whose, pools: actor.pools };
  return reachedBy.includes('token') ? { ...whose, tokenId: actor.tokenId } : null;
}

/** What is made belongs to who makes it: to make another's is to change what they have. */
const isForOthers = (granted: Granted, verb: Verb, rights: Guarded): boolean =>
  verb !== 'create' || !rights.isPrivate || granted.allows('edit', rights, undefined);

function whoseOf({ granted, userId }: Actor, verb: Verb, rights: Guarded): Scope | null {
  const who = whoMay(verb, rights);
  const names = who === 'everyone' ? null : granted.namesOf(verb, rights);
  if (names === null) return { ...everything, ownerId: isForOthers(granted, verb, rights) ? null : userId };
  if (who === undefined && names.length === 0) return null;
  const ownerId = who === undefined ? NOBODY : userId;
  return { ...everything, ownerId, orNames: names, orShared: who === 'shared' };
}

/** Whether what shows every pool by its name, and every llm, tells an actor of nothing that they may not see. */
export const seesEveryPool = (actor: Actor): boolean =>
  canToAll(actor, 'view', 'pool') && canToAll(actor, 'view', 'llm');

/** By verb, the resources of which there is anything at all that an actor may do it to. */
export function mayOf(actor: Actor): Whoami['may'] {
  const words = Object.keys(resources) as Resource[];
  const of = (verb: Verb): string[] => words.filter((resource) => scopeOf(actor, verb, resource) !== null);
  const create = words.filter((resource) => can(actor, 'create', { resource }));
  return { view: of('view'), create, edit: of('edit'), delete: of('delete'), run: of('run') };
}

/** Of these rows those that the token lets through. */
function letThrough(
  whose: Scope,
  { filter, userId }: Actor,
  { verb, rights }: { verb: Verb; rights: Guarded },
): Scope | null {
  if (filter === null) return whose;
  const all = filter.granted.namesOf(verb, rights);
  if (all === null && isForOthers(filter.granted, verb, rights)) return whose;
  const letsOwn = all === null || filter.ownAllows(verb, rights);
  const names = all ?? [];
  if (!letsOwn && names.length === 0) return null;
  const ownerId = letsOwn ? userId : NOBODY;
  if (whose.ownerId === null) return { ...whose, ownerId, orNames: names };
  const isOwnAnyhow = letsOwn && whose.ownerId === userId && whose.orNames.length === 0 && !whose.orShared;
  return isOwnAnyhow ? whose : { ...whose, within: { ownerId, names } };
}

/** Whether an actor may do that to everybody's, whatever they are. */
export function canToAll(actor: Actor, verb: Verb, resource: Resource | Guarded): boolean {
  const scope = scopeOf(actor, verb, resource);
  const { ownerId, pools, tokenId, within } = scope ?? { ...everything, ownerId: NOBODY };
  return ownerId === null && pools === null && tokenId === null && within === null;
}

/** `POST /api/v1/access/review`: may somebody do that, and by what? */
export const reviewSchema = z.strictObject({
  verb: z.enum(['view', 'create', 'edit', 'delete', 'run']),
  resource: z
    .string()
    .refine((word) => word !== '*' && grantable.includes(word), 'is no resource that is granted'),
  name: z.string().min(1).max(128).optional(),
  /** Another user, by name: for who may see users, groups and documents. */
  as: z.string().min(1).max(63).optional(),
});

/** `POST /api/v1/access/who-can`: who may do that, and by what? */
export const whoCanSchema = reviewSchema.omit({ as: true });

export const reviewViewSchema = z.object({
  allowed: z.boolean(),
  why: z.array(
    z.object({
      /** The document; empty where it is one's own. */
      rbac: z.string(),
      /** `user:ada`, `group:gpu`, or `owner`. */
      via: z.string(),
      /** `run:llm:gpt` */
      binding: z.string(),
    }),
  ),
  /** What keeps the token from what its user may. */
  limitedBy: z.string().optional(),
});
export type ReviewView = z.infer<typeof reviewViewSchema>;

export const whoCanViewSchema = z.object({
  /** Enabled users, by name. */
  items: z.array(z.object({ user: z.string(), why: reviewViewSchema.shape.why })),
  /** There are others after these. */
  more: z.boolean(),
});
export type WhoCanView = z.infer<typeof whoCanViewSchema>;

export const tokenCreateSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'a token name is 1 to 63 of a-z 0-9 . _ -'),
  /** Another user's name: admins only; the user is made when new. */
  user: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._@-]{0,62}$/, 'a user name is 1 to 63 of a-z 0-9 . _ @ -')
    .optional(),
  /** What the user may do, when the token makes the user: admins only. */
  binding: z.enum(bindings).optional(),
  pools: z.array(nameSchema).max(100).optional(),
  /** What it lets through of what its user may; `call` unless told. */
  preset: z.enum(presets).optional(),
  /** Of that, these alone. */
  bindings: z.array(grantSchema).max(100).optional(),
  operations: z.array(z.enum(operations)).max(operations.length).optional(),
  expiresInDays: z.int().min(1).max(3650).optional(),
});
export type TokenCreate = z.infer<typeof tokenCreateSchema>;

/** `DELETE /api/v1/tokens/:id`: what was made with it ends with it, unless told. */
export const tokenDeleteQuerySchema = z.strictObject({ children: z.enum(['revoke', 'keep']).optional() });

export const tokenViewSchema = z.object({
  id: uuidSchema,
  name: z.string(),
  /** How it begins; null where it was made elsewhere, or before this was kept. */
  prefix: z.string().nullable(),
  user: z.string(),
  binding: z.enum(bindings),
  pools: z.array(z.string()).nullable(),
  /** What it lets through of what its user may. */
  preset: z.string(),
  bindings: z.array(z.object({ role: z.string(), resource: z.string(), name: z.string().optional() })),
  operations: z.array(z.string()),
  /** The token that it was made with, and ends with. */
  parentId: z.string().nullable(),
  createdAt: z.string(),
  /** The minute in which it was used last, by any edge; null: not since this is kept. */
  lastUsedAt: z.string().nullable(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  /** Only in the answer that creates it. */
  token: z.string().optional(),
  /** There alone, too: of what it names and is not there, a sentence each. */
  warnings: z.array(z.string()).optional(),
});
export type TokenView = z.infer<typeof tokenViewSchema>;

/** `GET /api/v1/whoami`: who the server thinks you are. */
export const whoamiSchema = z.object({
  user: z.string(),
  token: z.string(),
  /** When the token ends by itself; null: not at all. */
  expiresAt: z.string().nullable(),
  binding: z.enum(bindings),
  version: z.string(),
  /** What the token is bound to; null: every pool. */
  pools: z.array(z.string()).nullable(),
  /** By verb the resources that one may do it to, some of them or all: what a page offers. Each call is asked anew. */
  may: z.object({
    view: z.array(z.string()),
    create: z.array(z.string()),
    edit: z.array(z.string()),
    delete: z.array(z.string()),
    run: z.array(z.string()),
  }),
});
export type Whoami = z.infer<typeof whoamiSchema>;
