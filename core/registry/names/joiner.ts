import { can, canToAll, type Actor } from '../../access.ts';

/** Who enters names, and wants llms in pools. */
export interface Joiner {
  userId: string;
  /** Null for nobody's token, e.g. the bootstrap. */
  tokenId: string | null;
  /** May do so whoever owns the pool (an admin). */
  overrules: boolean;
  /** Pool keys that the token is bound to; null or left out = every pool. */
  pools?: readonly string[] | null;
  /** Who is asked for their rights, and whom the audit is told of; left out, it is the server itself. */
  actor?: Actor;
}

/** Whoever asks, as who would be in that pool. @param poolKey null: they enter what is nobody's pool, as an agent's name. */
export const joinerOf = (actor: Actor, poolKey: string | null): Joiner => ({
  userId: actor.userId,
  tokenId: actor.tokenId,
  overrules:
    poolKey === null
      ? canToAll(actor, 'edit', 'pool')
      : can(actor, 'edit', { resource: 'pool', target: { name: poolKey, poolKey } }),
  pools: actor.pools,
  actor,
});

/** The same as who would be in that pool: what one may in the pool that an llm leaves is nothing in the one that it comes to. */
export const joiningIn = (by: Joiner, poolKey: string): Joiner =>
  by.actor ? joinerOf(by.actor, poolKey) : by;
