import type { Knex } from 'knex';
import { McpctlError } from '../errors.ts';
import type { Connection } from './connect.ts';

interface PoolRow {
  key: string;
  ownerId: string;
  createdAt: Date;
}

/** Who wants an llm in a pool. */
export interface Joiner {
  userId: string;
  /** Null for nobody's token, e.g. the bootstrap. */
  tokenId: string | null;
  /** May do so whoever owns the pool (an admin). */
  overrules: boolean;
}

export interface Pools {
  byKey(key: string): Promise<PoolRow | undefined>;
  /** Keys of pools that have an llm, in order. */
  list(query: { after: string | undefined; limit: number }): Promise<string[]>;
  /** Names of the users whom the owner has let in. */
  allowed(key: string): Promise<string[]>;
  allow(key: string, userId: string): Promise<void>;
  deny(key: string, userId: string): Promise<void>;
}

export function createPools({ db }: Connection): Pools {
  return {
    byKey: (key) => db<PoolRow>('pools').where({ key }).first('key', 'ownerId', 'createdAt'),
    async list({ after, limit }) {
      const query = db('llms').distinct<{ poolKey: string }[]>('poolKey').orderBy('poolKey').limit(limit);
      if (after !== undefined) query.where('poolKey', '>', after);
      return (await query).map((row) => row.poolKey);
    },
    async allowed(key) {
      const rows = await db('poolAllowed')
        .join('users', 'users.id', 'poolAllowed.userId')
        .where({ poolKey: key })
        .orderBy('users.name')
        .select<{ name: string }[]>('users.name');
      return rows.map((row) => row.name);
    },
    async allow(key, userId) {
      await db('poolAllowed').insert({ poolKey: key, userId }).onConflict(['pool_key', 'user_id']).ignore();
    },
    async deny(key, userId) {
      await db('poolAllowed').where({ poolKey: key, userId }).delete();
    },
  };
}

/**
 * Makes the pools that are new the joiner's own, and checks that the others let the joiner in: its owner, who
 * was allowed, whose token is bound to the pool by the pool's owner or an admin, or who overrules.
 * @throws McpctlError `pool_not_yours`
 */
export async function joinPools(trx: Knex.Transaction, keys: readonly string[], by: Joiner): Promise<void> {
  const sorted = [...new Set(keys)].sort();
  if (sorted.length === 0) return;
  await trx('pools')
    .insert(sorted.map((key) => ({ key, ownerId: by.userId })))
    .onConflict('key')
    .ignore();
  if (by.overrules) return;
  const { rows } = await trx.raw<{ rows: { key: string }[] }>(
    `select pools.key from pools
     where pools.key = any(:keys) and pools.owner_id <> :userId
       and not exists (select 1 from pool_allowed a where a.pool_key = pools.key and a.user_id = :userId)
       and not exists (
         select 1 from tokens t join users maker on maker.id = t.created_by
         where t.id = :tokenId and pools.key = any(t.pools)
           and (maker.binding = 'admin' or maker.id = pools.owner_id))
     order by pools.key limit 1`,
    { keys: sorted, userId: by.userId, tokenId: by.tokenId },
  );
  const closed = rows[0];
  if (closed) {
    throw new McpctlError(
      'pool_not_yours',
      `The pool '${closed.key}' belongs to another owner; ask them to run: mcpctl pool allow ${closed.key} <you>`,
    );
  }
}

/** Frees a pool whose last llm a person has deleted; what the sweep deletes keeps its owner. */
export async function leavePool(trx: Knex.Transaction, key: string): Promise<void> {
  await trx.raw(
    `delete from pools where key = :key and not exists (select 1 from llms where pool_key = :key)`,
    {
      key,
    },
  );
}
