import { z } from 'zod';
import { MOST_ROUNDS } from '../../agent/thread.ts';
import type { Connection } from '../database/connect.ts';
import { tasksOf } from './keep-threads.ts';
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
}

export const createPassingThreads = ({ db, transaction }: Connection): PassingThreads => ({
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
        .update({ request: '{}' });
      if (kept === 0) await trx('chatThreads').where({ id }).delete();
      else
        await trx('chatMessages')
          .where({ threadId: id })
          .update({ content: '', parts: null, toolCalls: null, reasoning: null });
      return tasks;
    }),
});
