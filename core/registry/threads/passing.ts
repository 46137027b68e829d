import { z } from 'zod';
import { MOST_ROUNDS } from '../../agent/thread.ts';
import type { Connection } from '../database/connect.ts';
import { tasksOf } from './keeping/keep-threads.ts';
import { BRIEFLY } from './locked-thread.ts';
import { unended } from './rows.ts';

const passingSchema = z.object({ threadId: z.string(), n: z.number() });

/** A turn, by what its client shows of it. */
interface Shown {
  ownerId: string;
  agent: string;
  /** A call that it has made. */
  callId: string;
  /** The hash of the conversation that it was asked with, or gone on with last. */
  asked: string;
  /** That of the conversation with the call and its results: the turn is known by it too from now on. */
  goneOnWith: string;
}

/** Threads of one call each, which nobody sees (decision 0083). */
export interface PassingThreads {
  /** The turn that a client goes on with; one that waits before one that has ended. */
  passingTurn(shown: Shown): Promise<{ threadId: string; n: number } | undefined>;
  /**
   * Nothing is kept of what was said in one in which nothing is open. Under a key its turn stays without that, or who comes again
   * would have it all run once more. @returns its tasks.
   */
  forgetPassing(id: string, ownerId: string): Promise<{ taskId: string; poolKey: string }[]>;
  /** What was said in those of each owner that have ended, in bytes; owners of none are not in it. */
  passingBytes(): Promise<Map<string, number>>;
  /** Of an owner the oldest that have ended and hold something, until they come to so many bytes. */
  oldestPassing(ownerId: string, bytes: number): Promise<PassingThread[]>;
  /** Those of which nothing is to be kept, and that ended so long ago that nobody comes for them. */
  uncollectedPassing(limit: number): Promise<PassingThread[]>;
}

interface PassingThread {
  id: string;
  ownerId: string;
  /** Of what was said in it. */
  bytes: number;
}

/** What a thread of a call holds that was forgotten. */
const NOTHING = '{}';
/** So many are forgotten in one go. */
const TOGETHER = 250;

/** The thread `t` of a call that has ended, and its turn `q`: lengths are told without reading the texts. */
const endedSql = `chat_threads t join chat_turns q on q.thread_id = t.id and q.ended_at is not null
    and q.request <> '${NOTHING}' cross join lateral (
      select octet_length(q.request) + coalesce(sum(bytes), 0)::float8 as bytes from chat_messages where thread_id = t.id) held
  where t.is_passing`;

type Weighed = 'passingBytes' | 'oldestPassing' | 'uncollectedPassing';

const weighing = ({ db }: Connection): Pick<PassingThreads, Weighed> => ({
  async passingBytes() {
    const { rows } = await db.raw<{ rows: { ownerId: string; bytes: number }[] }>(
      `select t.owner_id, sum(held.bytes) as bytes from ${endedSql} group by t.owner_id`,
    );
    return new Map(rows.map(({ ownerId, bytes }) => [ownerId, bytes]));
  },
  async oldestPassing(ownerId, bytes) {
    const { rows } = await db.raw<{ rows: PassingThread[] }>(
      `select id, owner_id, bytes from (
         select t.id, t.owner_id, held.bytes, sum(held.bytes) over (order by t.last_turn_at, t.id) - held.bytes as before
         from ${endedSql} and t.owner_id = :ownerId) oldest
       where before < :bytes order by before limit ${TOGETHER}`,
      { ownerId, bytes },
    );
    return rows;
  },
  async uncollectedPassing(limit) {
    const { rows } = await db.raw<{ rows: PassingThread[] }>(
      `select t.id, t.owner_id, held.bytes from ${endedSql} and t.is_brief and q.ended_at < now() - ${BRIEFLY} limit :limit`,
      { limit },
    );
    return rows;
  },
});

const passing = ({ db, transaction }: Connection): Omit<PassingThreads, Weighed> => ({
  async passingTurn({ callId, ...shown }) {
    const { rows } = await db.raw<{ rows: unknown[] }>(
      `with shown as (
         select t.id, q.n from chat_threads t join agents a on a.id = t.agent_id and a.name = :agent
           join chat_turns q on q.thread_id = t.id
         where t.is_passing and t.conversations @> array[cast(:asked as text)] and t.owner_id = :ownerId
           and exists (select 1 from chat_messages m where m.turn_id = q.id and m.tool_calls @> cast(:calls as jsonb))
         order by q.status = 'waiting' desc, q.created_at desc limit 1
       )
       update chat_threads t set conversations = case when cast(:goneOnWith as text) = any(t.conversations) or cardinality(t.conversations) > ${MOST_ROUNDS} then t.conversations
           else t.conversations || cast(:goneOnWith as text) end
         from shown where t.id = shown.id returning shown.id as thread_id, shown.n`,
      { ...shown, calls: JSON.stringify([{ id: callId }]) },
    );
    return rows.length === 0 ? undefined : passingSchema.parse(rows[0]);
  },
  forgetPassing: (id, ownerId) =>
    transaction(async (trx) => {
      const over = await trx('chatThreads as t')
        .where({ 't.id': id, 't.ownerId': ownerId, 't.isPassing': true })
        .whereRaw(`not exists (${unended('t.id', '1')})`)
        .forUpdate()
        .first<{ id: string } | undefined>('t.id');
      if (!over) return [];
      const tasks = (await tasksOf(trx, id)).map(({ taskId, poolName: poolKey }) => ({ taskId, poolKey }));
      // One that has not ended is the prune duty's.
      await trx.raw(
        `update tasks set retention = 'none', request_body = case when completed_at is null then request_body end,
           response_body = case when completed_at is null then response_body end where id = any(?)`,
        [tasks.map(({ taskId }) => taskId)],
      );
      const kept = await trx('chatTurns')
        .where({ threadId: id })
        .whereNotNull('clientKey')
        .update({ request: NOTHING });
      if (kept === 0) await trx('chatThreads').where({ id }).delete();
      else
        await trx('chatMessages')
          .where({ threadId: id })
          .update({ content: '', parts: null, toolCalls: null, reasoning: null, bytes: 0 });
      if (kept > 0) await trx('chatThreads').where({ id }).update({ isBrief: false });
      return tasks;
    }),
});

export const createPassingThreads = (connection: Connection): PassingThreads => ({
  ...weighing(connection),
  ...passing(connection),
});
