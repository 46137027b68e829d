import type { Knex } from 'knex';
import type { Actor, Reach, Scope } from '../../access.ts';
import type { LlmRow } from '../../llm.ts';
import { MCP_TYPE } from '../../mcp/names.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { createFormerMembers, publishedBy, type FormerMembers } from './former-members.ts';
import { parseLlm, parseLlms } from './row.ts';
import { createLlmWrites, type LlmWrites } from './write.ts';

interface LlmFilter {
  scope: Scope;
  kind?: LlmRow['kind'] | undefined;
  type?: string | undefined;
  pool?: string | undefined;
  after?: string | undefined;
  limit: number;
}

export interface Llms extends FormerMembers, LlmWrites {
  /** By name. The stored status: core/flow/alive/liveness.ts lays over who is live. */
  list(filter: LlmFilter): Promise<LlmRow[]>;
  /**
   * Those that may be there to be called: the user's own first, then in turns one of each owner, so that nobody's many
   * push out another's few. @param pools those that a token is bound to; null = every pool.
   */
  callable(of: Pick<Actor, 'userId' | 'pools'> & { within: Reach[]; limit: number }): Promise<LlmRow[]>;
  byName(name: string): Promise<LlmRow | undefined>;
  byNames(names: readonly string[]): Promise<LlmRow[]>;
  byId(id: string): Promise<LlmRow | undefined>;
  /** The rows of these pools, by pool and name. */
  byPools(poolKeys: readonly string[]): Promise<LlmRow[]>;
  /** Which of these pools have an llm, or one that has left and still takes what waits. */
  poolsAmong(poolKeys: readonly string[]): Promise<Set<string>>;
  /** Pools with an llm that sleeps, as its row says. */
  sleepingPools(): Promise<Set<string>>;
  /** What a session publishes, or has published. */
  bySession(sessionId: string): Promise<LlmRow[]>;
  /** Every llm, with the pool it is in. */
  places(): Promise<Pick<LlmRow, 'id' | 'name' | 'kind' | 'poolKey' | 'slotGroup' | 'ownerId'>[]>;
}

/** A scope as SQL. */
function narrow(query: Knex.QueryBuilder, { ownerId, orNames, pools, within }: Scope): void {
  if (pools !== null) query.whereIn('poolKey', [...pools]);
  const ofThese = '(owner_id = ? or name = any(?))';
  if (ownerId !== null) query.whereRaw(ofThese, [ownerId, [...orNames]]);
  if (within !== null) query.whereRaw(ofThese, [within.ownerId, [...within.names]]);
}

export function createLlms(connection: Connection, limits: RegistryLimits): Llms {
  const { db } = connection;
  const first = async (where: Record<string, string>): Promise<LlmRow | undefined> => {
    const row: unknown = await db('llms').where(where).first();
    return row === undefined ? undefined : parseLlm(row);
  };
  return {
    ...createLlmWrites(connection, limits),
    ...createFormerMembers(connection),
    async list({ scope, kind, type, pool, after, limit }) {
      const query = db('llms').select('*').orderBy('name').limit(limit);
      narrow(query, scope);
      if (kind) query.where({ kind });
      // The members of MCP servers are no llms to anybody who has not asked for them.
      if (type) query.where({ type });
      else query.whereNot({ type: MCP_TYPE });
      if (pool) query.where({ poolKey: pool });
      if (after) query.where('name', '>', after);
      return parseLlms(await query);
    },
    async callable({ userId, pools, within, limit }) {
      const turn = db.raw('row_number() over (partition by owner_id order by name) as turn');
      const some = db('llms')
        .select('*', turn)
        .whereNot({ status: 'inactive' })
        .whereNot({ type: MCP_TYPE })
        .as('llms');
      if (pools) some.whereIn('poolKey', [...pools]);
      for (const { llms, pools: keys } of within)
        some.whereRaw('(name = any(?) or pool_key = any(?))', [[...llms], [...keys]]);
      const first = db.raw('owner_id = ? desc', [userId]);
      const query = db.from(some).orderByRaw(first).orderBy(['turn', 'name']).limit(limit);
      return parseLlms((await query) as unknown[]);
    },
    async poolsAmong(poolKeys) {
      if (poolKeys.length === 0) return new Set();
      const { rows } = await db.raw<{ rows: { poolKey: string }[] }>(
        `select pool_key from llms where pool_key = any(:poolKeys)
         union select pool_key from former_members_now where pool_key = any(:poolKeys)`,
        { poolKeys: [...poolKeys] },
      );
      return new Set(rows.map((row) => row.poolKey));
    },
    sleepingPools: () => sleepingPools(db),
    byName: (name) => first({ name }),
    byId: (id) => first({ id }),
    byNames: async (names) =>
      names.length === 0 ? [] : parseLlms(await db('llms').whereIn('name', [...names])),
    places: () => db('llms').select('id', 'name', 'kind', 'poolKey', 'slotGroup', 'ownerId'),
    bySession: (sessionId) => publishedBy(db, sessionId),
    byPools: async (poolKeys) =>
      poolKeys.length === 0
        ? []
        : parseLlms(
            await db('llms')
              .whereIn('poolKey', [...poolKeys])
              .orderBy(['poolKey', 'name']),
          ),
  };
}

async function sleepingPools(db: Connection['db']): Promise<Set<string>> {
  const rows = await db('llms')
    .where({ kind: 'virtual', status: 'hibernating' })
    .distinct<{ poolKey: string }[]>('poolKey');
  return new Set(rows.map((row) => row.poolKey));
}
