import { z } from 'zod';
import { uuidSchema } from './names.ts';

export const bindings = ['admin', 'user'] as const;

/** Who calls: made by the one authentication point (edge/middleware/authenticate.ts) and by nobody else. */
export interface Actor {
  userId: string;
  userName: string;
  tokenId: string;
  tokenName: string;
  /** Read by `can` alone. */
  binding: (typeof bindings)[number];
  /** Pool keys that the token is bound to; null = every pool. */
  pools: readonly string[] | null;
}

export type Verb = 'view' | 'create' | 'delete' | 'edit' | 'run';
export type Resource = 'llm' | 'pool' | 'task' | 'token' | 'session' | 'metrics' | 'board';

/** What the verb is about: whose it is, which pool it concerns, and for a token, or what belongs to one, which. */
export interface Target {
  ownerId?: string;
  poolKey?: string;
  tokenId?: string;
}

/**
 * May this actor do that? The only place that knows what a binding allows. `user` may run and see every llm
 * and pool, say who joins its own pools, publish sessions, and do anything to its own tasks, sessions and
 * tokens; `admin` may do everything. A token bound to pools may do so only to what is in them (`isWithin`), whoever's
 * token it is. A caller turns `false` into 404 where the existence itself is private, into 403 where the whole action is
 * closed. Lists ask `scopeOf`, which says the same of many rows.
 */
export function can(actor: Actor, verb: Verb, on: { resource: Resource; target?: Target }): boolean {
  const { resource, target } = on;
  if (actor.pools !== null && !isWithin(actor, actor.pools, on)) return false;
  if (actor.binding === 'admin') return true;
  const own = target?.ownerId === undefined || target.ownerId === actor.userId;
  switch (resource) {
    case 'llm':
      return verb === 'view' || verb === 'run' || (verb === 'delete' && target?.ownerId === actor.userId);
    case 'pool':
      return verb === 'view' || verb === 'run' || (verb === 'edit' && target?.ownerId === actor.userId);
    case 'task':
    case 'session':
    case 'token':
      return own;
    case 'board':
      return verb === 'view';
    case 'metrics':
      return false;
  }
}

/**
 * Closed by default: a bound token reaches what lies in one of its pools, and beside that itself and its own sessions.
 * What names no pool (users, metrics, the board, other tokens, whatever is added next) is out of its reach.
 */
function isWithin(
  { tokenId }: Actor,
  pools: readonly string[],
  { resource, target }: { resource: Resource; target?: Target },
): boolean {
  const itself = target?.tokenId === tokenId;
  if (resource === 'token') return itself;
  if (target?.poolKey !== undefined) return pools.includes(target.poolKey);
  return resource === 'session' && itself;
}

/** Which rows of a resource an actor may see: those that meet each of these; null asks nothing. */
export interface Scope {
  ownerId: string | null;
  pools: readonly string[] | null;
  tokenId: string | null;
}

/** For what a process does on nobody's behalf. */
export const everything: Scope = { ownerId: null, pools: null, tokenId: null };

/**
 * `can` of many rows at once, to be turned into SQL: a row is in the scope exactly if `can` says yes of it.
 * @returns null when that is none at all.
 */
export function scopeOf(actor: Actor, resource: 'llm' | 'pool' | 'task' | 'token'): Scope | null {
  const everybody = actor.binding === 'admin' || resource === 'llm' || resource === 'pool';
  const ownerId = everybody ? null : actor.userId;
  if (actor.pools === null) return { ...everything, ownerId };
  if (resource === 'token') return { ownerId, pools: null, tokenId: actor.tokenId };
  return actor.pools.length === 0 ? null : { ownerId, pools: actor.pools, tokenId: null };
}

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
});
