import type { Knex } from 'knex';
import { z } from 'zod';
import { llmRowSchema, type LlmRow } from '../../llm.ts';
import type { Connection } from '../database/connect.ts';
import { standsFor, unentitledIn } from '../entitled.ts';
import { LEFT_FOR } from '../people/redis-users.ts';

/** An llm that has nothing left to do in a pool which it left, and who serves it. */
export interface DoneMember {
  poolKey: string;
  llmId: string;
  /** Who is to be told; null of a public llm, whose workers ask by themselves. */
  worker: { session: string; boot: string } | null;
}

/**
 * Llms that have left a pool in which tasks wait that were asked for before (decision 0084). They serve there until the last of those has
 * ended, or until they may not; what is asked there anew reaches them only as long.
 */
export interface FormerMembers {
  /** Their rows, in the pools that they left: `poolKey` is that one. */
  formerIn(poolKeys: readonly string[]): Promise<LlmRow[]>;
  /** The same of what one session publishes. */
  formerOf(sessionId: string): Promise<LlmRow[]>;
  /** All that a session serves: what it publishes, or has published, and behind it `formerOf`. */
  servedBySession(sessionId: string): Promise<LlmRow[]>;
  /** Those that have been there for nothing for a while. */
  formerDone(limit: number): Promise<DoneMember[]>;
  forgetFormer(done: readonly DoneMember[]): Promise<void>;
}

const rowsSchema = llmRowSchema
  .extend({ formerPool: z.string() })
  .transform(({ formerPool, ...row }): LlmRow => ({ ...row, poolKey: formerPool }))
  .array();

/** A task that was accepted on old news has its row by then. */
const SETTLED = `interval '15 seconds'`;

export const publishedBy = async (db: Knex, sessionId: string): Promise<LlmRow[]> =>
  llmRowSchema
    .array()
    .parse(await db('llms').where({ providerSessionId: sessionId }).orderBy('name').select());

export function createFormerMembers({ db }: Connection): FormerMembers {
  const read = async (where: string, bindings: Record<string, string | string[]>): Promise<LlmRow[]> => {
    const { rows } = await db.raw<{ rows: unknown[] }>(
      `select l.*, n.pool_key as former_pool from former_members_now n join llms l on l.id = n.llm_id
       where ${where} order by l.name, n.pool_key`,
      bindings,
    );
    return rowsSchema.parse(rows);
  };
  const formerOf = (sessionId: string): Promise<LlmRow[]> =>
    read('l.provider_session_id = :sessionId', { sessionId });
  return {
    formerIn: async (poolKeys) =>
      poolKeys.length === 0 ? [] : await read('n.pool_key = any(:poolKeys)', { poolKeys: [...poolKeys] }),
    formerOf,
    servedBySession: async (sessionId) => [
      ...(await publishedBy(db, sessionId)),
      ...(await formerOf(sessionId)),
    ],
    async formerDone(limit) {
      const { rows } = await db.raw<{
        rows: { poolKey: string; llmId: string; session: string | null; boot: string | null }[];
      }>(
        `select f.pool_key, f.llm_id, s.id as session, coalesce(s.instance_id, s.id::text) as boot
         from former_members f join llms l on l.id = f.llm_id left join sessions s on s.id = l.provider_session_id
         where f.left_at < now() - ${SETTLED}
           and not exists (select 1 from former_members_now n where n.pool_key = f.pool_key and n.llm_id = f.llm_id)
           and (f.denied_at is null or f.denied_at < now() - interval '1 minute')
         order by f.left_at limit :limit`,
        { limit },
      );
      return rows.map(({ poolKey, llmId, session, boot }) => ({
        poolKey,
        llmId,
        worker: session === null || boot === null ? null : { session, boot },
      }));
    },
    async forgetFormer(done) {
      if (done.length === 0) return;
      // It may have come back, and left again, since it was looked at. What it has taken over Redis it may run to its end.
      await db.raw(
        `with gone as (
           delete from former_members f using unnest(cast(:pools as text[]), cast(:llms as uuid[])) d (pool_key, llm_id)
             where f.pool_key = d.pool_key and f.llm_id = d.llm_id and f.left_at < now() - ${SETTLED}
             returning f.pool_key, f.llm_id, f.denied_at),
         left_by as (
           select l.provider_session_id as id, array_agg(distinct g.pool_key) as pools
             from gone g join llms l on l.id = g.llm_id where g.denied_at is null group by 1)
         update sessions s set redis_left_at = now(),
           redis_left_pools = array(select distinct unnest(b.pools || case
             when s.redis_left_at > now() - ${LEFT_FOR} then s.redis_left_pools else '{}' end))
         from left_by b where s.id = b.id and s.redis_hash is not null`,
        { pools: done.map(({ poolKey }) => poolKey), llms: done.map(({ llmId }) => llmId) },
      );
    },
  };
}

/** An llm that may not be where it is any more. */
export interface Candidate {
  id: string;
  sessionId: string;
  /** It is there no more, and still takes what waits; null of one that is. */
  leftPool: string | null;
}

export const UNENTITLED_FORMER = `
  select l.id, l.provider_session_id as "sessionId", f.pool_key as "leftPool"
  from former_members f join llms l on l.id = f.llm_id ${standsFor('f.pool_key')}
    and f.denied_at is null and ${unentitledIn('f.pool_key')}`;

/** The caller holds the llms' locks. */
export async function denyFormer(trx: Knex.Transaction, candidates: readonly Candidate[]): Promise<void> {
  const left = candidates.flatMap(({ id, leftPool }) => (leftPool === null ? [] : [{ id, leftPool }]));
  if (left.length === 0) return;
  await trx.raw(
    `update former_members f set denied_at = now()
     from unnest(cast(:ids as uuid[]), cast(:pools as text[])) d (id, pool_key)
     where f.llm_id = d.id and f.pool_key = d.pool_key and f.denied_at is null`,
    { ids: left.map(({ id }) => id), pools: left.map(({ leftPool }) => leftPool) },
  );
}

/** Of a session that is being registered: it is to serve nothing that its token, or its pool's owner, would not let it register for. */
export async function denyFormerOf(trx: Knex.Transaction, sessionId: string): Promise<void> {
  const { rows } = await trx.raw<{ rows: Candidate[] }>(`${UNENTITLED_FORMER} and s.id = :sessionId`, {
    sessionId,
  });
  await denyFormer(trx, rows);
}
