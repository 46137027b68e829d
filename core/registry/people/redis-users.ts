import type { Knex } from 'knex';
import type { Connection } from '../database/connect.ts';

/** A provider session that is to have a user of its own in Redis. */
export interface RedisUserRow {
  sessionId: string;
  /** The process that registered last: it hears the session's control channel. */
  boot: string;
  /** SHA-256 of the user's password, in hex. */
  passwordHash: string;
  members: { llmId: string; poolKey: string }[];
  /** An llm of another owner is in one of its pools: the session is to go over to an edge's relay. */
  isShared: boolean;
}

export interface RedisUserRows {
  /** Those that are to have one now, or only this one. */
  list(sessionId?: string): Promise<RedisUserRow[]>;
  /** The members of hosted workers: every public llm, also in pools that it left and has something left to do in. */
  hosted(): Promise<RedisUserRow['members']>;
}

/** What a worker took before it left a pool, or Redis, it may run to its end. */
export const LEFT_FOR = `interval '10 minutes'`;

const sharedPool = (pools: string, owner: string): string =>
  `exists (select 1 from llms other where other.pool_key = any(${pools}) and other.owner_id <> ${owner})`;

/**
 * Rows that are gone, denied or revoked give no rights; a backend that is down, or an llm that is no longer published, is
 * the session's own still.
 */
const ofSessions = `
  select s.id as "sessionId", coalesce(s.instance_id, s.id::text) as boot, s.redis_hash as "passwordHash",
    array_agg(distinct l.pool_key) as pools,
    array(select left_pool from unnest(s.redis_left_pools) left_pool join pools p on p.key = left_pool
      where s.redis_left_at > now() - ${LEFT_FOR} and (p.owner_id = s.owner_id or exists (
        select 1 from pool_allowed a where a.pool_key = p.key and a.user_id = s.owner_id))
      union select n.pool_key from former_members n join llms f on f.id = n.llm_id
        where n.denied_at is null and f.provider_session_id = s.id and s.transport = 'redis') as "leftPools",
    json_agg(json_build_object('llmId', l.id, 'poolKey', l.pool_key) order by l.id) as members,
    s.owner_id as "ownerId"
  from sessions s join llms l on l.provider_session_id = s.id
  where s.redis_hash is not null and s.left_at is null
    and (s.transport = 'redis' or s.redis_left_at > now() - ${LEFT_FOR})
    and (l.inactive_reason is null or l.inactive_reason = 'backend_down'
      or (l.inactive_reason = 'unpublished' and l.inactive_since > now() - ${LEFT_FOR}))
    and (cast(:sessionId as uuid) is null or s.id = :sessionId)
  group by s.id`;

interface Found extends RedisUserRow {
  /** Those that would let it in now. */
  leftPools: string[];
  leftShared: boolean;
}

export function createRedisUserRows({ db }: Connection): RedisUserRows {
  return {
    async list(sessionId) {
      const { rows } = await db.raw<{ rows: Found[] }>(
        `select f."sessionId", f.boot, f."passwordHash", f.members, f."leftPools",
           ${sharedPool('f.pools', 'f."ownerId"')} as "isShared",
           ${sharedPool('f."leftPools"', 'f."ownerId"')} as "leftShared"
         from (${ofSessions}) f order by f."sessionId"`,
        { sessionId: sessionId ?? null },
      );
      return rows.map(({ leftPools, leftShared, members, ...row }) => ({
        ...row,
        members: [...members, ...(leftShared ? [] : membersOf(leftPools, members))],
      }));
    },
    async hosted() {
      const { rows } = await db.raw<{ rows: RedisUserRow['members'] }>(
        `select id as "llmId", pool_key as "poolKey" from hosted_llms
         union select id, pool_key from hosted_former_llms order by 1, 2`,
      );
      return rows;
    },
  };
}

/** In a pool that it has left, what it has taken is any of its llms'. */
const membersOf = (pools: readonly string[], now: RedisUserRow['members']): RedisUserRow['members'] =>
  pools.flatMap((poolKey) => now.map(({ llmId }) => ({ llmId, poolKey })));

/**
 * Decides, in the transaction of a registration and behind the locks of its pools, whether the session takes its tasks
 * from Redis itself. Redis cannot tell the claims of one pool apart, so that it gets a user only where every llm of its
 * pools is its owner's. What it took over Redis before, it may run to its end.
 * @returns whether it does.
 */
export async function settleTransport(
  trx: Knex.Transaction,
  session: {
    id: string;
    ownerId: string;
    /** SHA-256 of its password; null = it wants none. */
    redisHash: string | null;
    pools: readonly string[];
    leftPools: readonly string[];
  },
): Promise<boolean> {
  const pools = [...new Set(session.pools)].sort();
  await trx.raw('select key from pools where key = any(:pools) order by key for update', { pools });
  const { rows } = await trx.raw<{ rows: { shared: boolean }[] }>(
    `select ${sharedPool('cast(:pools as text[])', ':ownerId')} as shared`,
    { pools, ownerId: session.ownerId },
  );
  const isShared = rows[0]?.shared ?? true;
  const usesRedis = session.redisHash !== null && !isShared;
  const leaves = [...new Set([...session.leftPools, ...(usesRedis ? [] : pools)])];
  await trx.raw(
    `update sessions set
       transport = :transport,
       redis_hash = case when :isShared then null else coalesce(:redisHash, redis_hash) end,
       redis_left_pools = case
         when cardinality(cast(:leaves as text[])) = 0 or redis_hash is null then redis_left_pools
         when redis_left_at > now() - ${LEFT_FOR} then array(
           select distinct unnest(redis_left_pools || cast(:leaves as text[])))
         else cast(:leaves as text[]) end,
       redis_left_at = case
         when cardinality(cast(:leaves as text[])) = 0 or redis_hash is null then redis_left_at else now() end
     where id = :id`,
    {
      id: session.id,
      transport: usesRedis ? 'redis' : 'sse',
      isShared,
      redisHash: session.redisHash,
      leaves,
    },
  );
  return usesRedis;
}
