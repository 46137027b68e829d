import type { Knex } from 'knex';
import { z } from 'zod';
import { instantSchema } from '../../newer-words.ts';
import type { Connection } from '../database/connect.ts';

/** Who publishes a virtual agent, as Postgres has it; whether that session lives is asked besides (core/flow/alive/publishers.ts). */
export const publisherSchema = z.object({
  /** Null: that session is there no more. */
  sessionId: z.string().nullable(),
  /** Its worker does not name it any more. */
  isUnpublished: z.boolean(),
  /** The worker has said goodbye, or was put out. */
  hasLeft: z.boolean(),
  /** When the worker last told of it: that it is not there, is so since then. */
  seenAt: instantSchema,
});
export type Publisher = z.infer<typeof publisherSchema>;

/** SQL: the publisher of `a`, an agent, as JSON; null where it is no virtual one. */
export const publisherSql = `(
  select json_build_object('sessionId', p.session_id, 'isUnpublished', p.unpublished_at is not null,
      'hasLeft', s.left_at is not null, 'seenAt', coalesce(p.unpublished_at, s.left_at, s.last_heartbeat_at, p.published_at))
    from agent_publishers p left join sessions s on s.id = p.session_id where p.agent_id = a.id)`;

export interface AgentPublishers {
  /** Of those of these agents that are virtual, by their ids. */
  publishers(ids: readonly string[]): Promise<ReadonlyMap<string, Publisher>>;
  /** Those of these prompts that came with a virtual agent. */
  prompts(ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Sessions that publish agents of these names. */
  publishing(names: readonly string[]): Promise<string[]>;
  /**
   * Virtual agents whose publisher seems to be gone, and is not marked so since: it has left, or gave no sign of life for
   * so long. Whether a session that has not left lives is the caller's to ask; null where there is none to ask about.
   */
  silent(ms: number, limit: number): Promise<{ id: string; sessionId: string | null }[]>;
  /** Marks them as gone from now on. */
  markGone(ids: readonly string[]): Promise<number>;
  /** Of those that are marked for so long, and whose publisher has not come back, the ones without threads. */
  longGone(goneMs: number, limit: number): Promise<string[]>;
  /** Deletes those of them of which that is still so, past what somebody holds. @returns their names. */
  deleteGone(goneMs: number, ids: readonly string[]): Promise<string[]>;
  /** Llms whose publishers have been gone for so long, and that agents keep, with those agents, some of each. */
  pinned(goneMs: number, limit: number): Promise<{ llm: string; agents: string[] }[]>;
}

const heldSchema = z.array(z.object({ llm: z.string(), agents: z.array(z.string()) }));

/** SQL: nobody has beaten for it since it was marked. */
const stillGone = `(s.id is null or s.left_at is not null or s.last_heartbeat_at <= p.gone_since or p.unpublished_at is not null)`;
const goneFor = `p.gone_since < now() - :goneMs * interval '1 millisecond' and ${stillGone}`;
const noThreads =
  'not exists (select 1 from chat_threads t where t.agent_id = p.agent_id and not t.is_passing)';
const of = 'agent_publishers p left join sessions s on s.id = p.session_id';

async function publishedAmong(db: Knex, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await db('publishedPrompts')
    .whereIn('promptId', [...ids])
    .select<{ promptId: string }[]>('promptId');
  return new Set(rows.map(({ promptId }) => promptId));
}

export function createAgentPublishers({ db, transaction }: Connection): AgentPublishers {
  return {
    async publishers(ids) {
      if (ids.length === 0) return new Map();
      const { rows } = await db.raw<{ rows: { id: string; publisher: unknown }[] }>(
        `select a.id, ${publisherSql} as publisher from agents a where a.id = any(:ids)`,
        { ids: [...ids] },
      );
      return new Map(
        rows.flatMap(({ id, publisher }) =>
          publisher === null ? [] : [[id, publisherSchema.parse(publisher)] as const],
        ),
      );
    },
    prompts: (ids) => publishedAmong(db, ids),
    async publishing(names) {
      if (names.length === 0) return [];
      const rows = await db('agentPublishers')
        .join('agents', 'agents.id', 'agentPublishers.agentId')
        .whereIn('agents.name', [...names])
        .whereNotNull('sessionId')
        .distinct<{ sessionId: string }[]>('sessionId');
      return rows.map(({ sessionId }) => sessionId);
    },
    async silent(ms, limit) {
      const { rows } = await db.raw<{ rows: { id: string; sessionId: string | null }[] }>(
        `select p.agent_id as id, case when s.left_at is null and p.unpublished_at is null then s.id end as session_id from ${of}
         where (s.id is null or s.left_at is not null or p.unpublished_at is not null
             or s.last_heartbeat_at < now() - :ms * interval '1 millisecond')
           and (p.gone_since is null or not ${stillGone}) order by p.agent_id limit :limit`,
        { ms, limit },
      );
      return rows;
    },
    markGone: (ids) => markGone(db, ids),
    async longGone(goneMs, limit) {
      const { rows } = await db.raw<{ rows: { id: string }[] }>(
        `select p.agent_id as id from ${of} where ${goneFor} and ${noThreads} order by p.gone_since limit :limit`,
        { goneMs, limit },
      );
      return rows.map(({ id }) => id);
    },
    deleteGone: (goneMs, ids) => transaction((trx) => deleteGone(trx, goneMs, ids)),
    async pinned(goneMs, limit) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select l.name as llm, array(select a.name from agents a where a.llm_id = l.id order by a.name limit 10) as agents
         from llms l where l.kind = 'virtual' and l.inactive_reason in ('publisher_gone', 'denied')
           and l.inactive_since < now() - :goneMs * interval '1 millisecond'
           and exists (select 1 from agents where llm_id = l.id) order by l.name limit :limit`,
        { goneMs, limit },
      );
      return heldSchema.parse(rows);
    },
  };
}

/** Past what somebody holds. */
async function markGone(db: Knex, ids: readonly string[]): Promise<number> {
  const { rowCount } = await db.raw<{ rowCount: number }>(
    `update agent_publishers set gone_since = now() where agent_id = any(array(
       select agent_id from agent_publishers where agent_id = any(:ids) for update skip locked))`,
    { ids: [...ids] },
  );
  return rowCount;
}

/** Whoever begins a thread waits for the agent's row; the look for threads is behind its lock. */
async function deleteGone(trx: Knex.Transaction, goneMs: number, ids: readonly string[]): Promise<string[]> {
  const { rows: locked } = await trx.raw<{ rows: { id: string }[] }>(
    'select id from agents where id = any(:ids) order by name for update skip locked',
    { ids: [...ids] },
  );
  if (locked.length === 0) return [];
  const { rows } = await trx.raw<{ rows: { id: string; name: string }[] }>(
    `select a.id, a.name from ${of} join agents a on a.id = p.agent_id
     where a.id = any(:ids) and ${goneFor} and ${noThreads}`,
    { ids: locked.map(({ id }) => id), goneMs },
  );
  const gone = rows.map(({ id }) => id);
  await trx('names').whereIn('id', gone).where({ resource: 'agent' }).delete();
  await trx('agents').whereIn('id', gone).delete();
  return rows.map(({ name }) => name);
}
