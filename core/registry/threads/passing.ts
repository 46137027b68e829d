import { z } from 'zod';
import type { Connection } from '../database/connect.ts';
import { tasksOf } from './keep-threads.ts';
import { unended } from './rows.ts';

const passingSchema = z.object({
  threadId: z.string(),
  n: z.number(),
  /** The whole conversation, as it was sent. */
  request: z.string(),
});
export type PassingTurn = z.infer<typeof passingSchema>;

/** Backends that count calls from zero give many conversations the same ids: so many of them are looked at, the newest first. */
const MOST_ALIKE = 20;

/** Threads of one call each, which nobody sees (decision 0083). */
export interface PassingThreads {
  /** Turns of such that wait for their client's result of that call. */
  passingTurns(of: { ownerId: string; agent: string; callId: string }): Promise<PassingTurn[]>;
  /** Deletes one in which nothing is open. @returns its tasks. */
  deletePassing(id: string, ownerId: string): Promise<string[]>;
}

export const createPassingThreads = ({ db, transaction }: Connection): PassingThreads => ({
  async passingTurns({ ownerId, agent, callId }) {
    const { rows } = await db.raw<{ rows: unknown[] }>(
      `select q.thread_id, q.n, q.request from chat_threads t join agents a on a.id = t.agent_id and a.name = :agent
         join chat_turns q on q.thread_id = t.id and q.status = 'waiting' and q.asks_client
         join chat_messages m on m.turn_id = q.id and m.task_id = q.task_id and m.role = 'assistant'
       where t.is_passing and t.owner_id = :ownerId and m.tool_calls @> cast(:calls as jsonb)
       order by q.created_at desc limit ${MOST_ALIKE}`,
      { ownerId, agent, calls: JSON.stringify([{ id: callId }]) },
    );
    return z.array(passingSchema).parse(rows);
  },
  deletePassing: (id, ownerId) =>
    transaction(async (trx) => {
      await trx('chatThreads').where({ id, ownerId }).forUpdate().select('id');
      const tasks = await tasksOf(trx, id);
      const { rowCount } = await trx.raw<{ rowCount: number }>(
        `delete from chat_threads t where t.id = :id and t.owner_id = :ownerId and t.is_passing and not exists (${unended('t.id', '1')})`,
        { id, ownerId },
      );
      return rowCount === 1 ? tasks.map(({ taskId }) => taskId) : [];
    }),
});
