import { z } from 'zod';
import { grantable, type Granted } from './access/grants.ts';
import { uuidSchema } from './names.ts';
import type { Guarded, Verb, Visibility } from './resources/define.ts';
import { resources, type Resource } from './resources/index.ts';

export const bindings = ['admin', 'user'] as const;

/** Who calls: made by the one authentication point (edge/middleware/authenticate.ts) and by nobody else. */
export interface Actor {
  userId: string;
  userName: string;
  tokenId: string;
  tokenName: string;
  /** The word that the last release has for it; no right is read from it. */
  binding: (typeof bindings)[number];
  /** All that the user is granted, by whatever way; read here alone. */
  granted: Granted;
  /** Pool keys that the token is bound to; null = every pool. */
  pools: readonly string[] | null;
}

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
 * that to owners (core/resources). A token bound to pools may do so only to what is in them
 * (`isWithin`), whoever's token it is. A caller turns `false` into 404 where the existence itself is private, into 403
 * where the whole action is closed. Who makes something owns it. Lists ask `scopeOf`, which says the same of many rows.
 */
export function can(
  actor: Actor,
  verb: Verb,
  { resource, target = {} }: { resource: Resource | Guarded; target?: Target },
): boolean {
  const rights = rightsOf(resource);
  if (actor.pools !== null && !isWithin(actor, actor.pools, { rights, target })) return false;
  return isGranted(actor, verb, { rights, target }) || owns(actor, verb, { rights, target });
}

interface Question {
  rights: Guarded;
  target: Target;
}

function isGranted({ granted, userId }: Actor, verb: Verb, { rights, target }: Question): boolean {
  const { name, ownerId = userId } = target;
  if (!granted.allows(verb, rights, name)) return false;
  // What is made belongs to who makes it: to make another's is to change what they have.
  const isForAnother = verb === 'create' && rights.isPrivate && ownerId !== userId;
  return !isForAnother || granted.allows('edit', rights, name);
}

function owns({ userId }: Actor, verb: Verb, { rights, target }: Question): boolean {
  const { ownerId = verb === 'create' ? userId : undefined } = target;
  const who = rights.may[verb];
  if (who === 'everyone' || (who === 'shared' && target.visibility === 'shared')) return true;
  return who !== undefined && ownerId === userId;
}

/** An llm as rights see it: in which pool, and which of them; null where the pool itself is meant. */
export interface Callee {
  poolKey: string;
  llm: string | null;
}

/**
 * What a call may reach: any member of a pool, one llm and no other, or nothing. Who may run the pool may run whatever is in
 * it; who may run one llm is answered by that alone.
 */
export function reachOf(actor: Actor, { poolKey, llm }: Callee): 'pool' | 'llm' | null {
  if (can(actor, 'run', { resource: 'pool', target: { name: poolKey, poolKey } })) return 'pool';
  if (llm === null) return null;
  return can(actor, 'run', { resource: 'llm', target: { name: llm, poolKey } }) ? 'llm' : null;
}

/** Whether it is there for an actor at all. */
export function seesCallee(actor: Actor, { poolKey, llm }: Callee): boolean {
  if (can(actor, 'view', { resource: 'pool', target: { name: poolKey, poolKey } })) return true;
  return llm !== null && can(actor, 'view', { resource: 'llm', target: { name: llm, poolKey } });
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
}

/** For what a process does on nobody's behalf. */
export const everything: Scope = {
  ownerId: null,
  orNames: [],
  orShared: false,
  pools: null,
  tokenId: null,
};

/** No row has this owner. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/**
 * `can` of many rows at once, to be turned into SQL: a row is in the scope exactly if `can` says yes of it.
 * @returns null when that is none at all.
 */
export function scopeOf(actor: Actor, verb: Verb, resource: Resource | Guarded): Scope | null {
  const rights = rightsOf(resource);
  const { reachedBy } = rights;
  const whose = whoseOf(actor, verb, rights);
  if (!whose) return null;
  if (actor.pools === null) return whose;
  if (reachedBy.includes('pool')) return actor.pools.length === 0 ? null : { ...whose, pools: actor.pools };
  return reachedBy.includes('token') ? { ...whose, tokenId: actor.tokenId } : null;
}

function whoseOf({ granted, userId }: Actor, verb: Verb, rights: Guarded): Scope | null {
  const who = rights.may[verb];
  const names = who === 'everyone' ? null : granted.namesOf(verb, rights);
  const isForOthers = verb !== 'create' || !rights.isPrivate || granted.allows('edit', rights, undefined);
  if (names === null) return { ...everything, ownerId: isForOthers ? null : userId };
  if (who === undefined && names.length === 0) return null;
  const ownerId = who === undefined ? NOBODY : userId;
  return { ...everything, ownerId, orNames: names, orShared: who === 'shared' };
}

/** By verb, the resources of which there is anything at all that an actor may do it to. */
export function mayOf(actor: Actor): Whoami['may'] {
  const words = Object.keys(resources) as Resource[];
  const of = (verb: Verb): string[] => words.filter((resource) => scopeOf(actor, verb, resource) !== null);
  const create = words.filter((resource) => can(actor, 'create', { resource }));
  return { view: of('view'), create, edit: of('edit'), delete: of('delete'), run: of('run') };
}

/** Whether an actor may do that to everybody's, whatever they are. */
export function canToAll(actor: Actor, verb: Verb, resource: Resource | Guarded): boolean {
  const scope = scopeOf(actor, verb, resource);
  return scope !== null && scope.ownerId === null && scope.pools === null && scope.tokenId === null;
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

export const tokenCreateSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'a token name is 1 to 63 of a-z 0-9 . _ -'),
  /** Another user's name: admins only; the user is made when new. */
  user: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._@-]{0,62}$/, 'a user name is 1 to 63 of a-z 0-9 . _ @ -')
    .optional(),
  /** What the user may do, when the token makes the user: admins only. */
  binding: z.enum(bindings).optional(),
  pools: z.array(z.string().min(1).max(63)).max(100).optional(),
  expiresInDays: z.int().min(1).max(3650).optional(),
});
export type TokenCreate = z.infer<typeof tokenCreateSchema>;

export const tokenViewSchema = z.object({
  id: uuidSchema,
  name: z.string(),
  user: z.string(),
  binding: z.enum(bindings),
  pools: z.array(z.string()).nullable(),
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  /** Only in the answer that creates it. */
  token: z.string().optional(),
});
export type TokenView = z.infer<typeof tokenViewSchema>;

/** `GET /api/v1/whoami`: who the server thinks you are. */
export const whoamiSchema = z.object({
  user: z.string(),
  token: z.string(),
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
