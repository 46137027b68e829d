import type { Knex } from 'knex';
import { z } from 'zod';
import { storableSentence, storableWord } from '../../text/storable.ts';
import type { TaskRow } from '../../task/task.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import { insertPlaceholder, lockThread, type TurnComposition, type TurnPlace } from './accept-turn.ts';

/** The turn that is next in the line of a thread in which none is open. */
const nextSchema = z.object({
  id: z.string(),
  threadId: z.string(),
  n: z.number(),
  agent: z.string(),
  ownerId: z.string(),
  tokenId: z.string(),
  request: z.string(),
  pin: z.string().nullable(),
  personality: z.string().nullable(),
});
export type NextTurn = z.infer<typeof nextSchema>;

const isIdle = `not exists (select 1 from chat_turns o where o.thread_id = q.thread_id and o.status in ('running', 'waiting'))`;

/** Threads in which somebody waits in line and nobody is answered, those that wait longest first. */
export async function waitingThreads(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { threadId: string }[] }>(
    `select q.thread_id from chat_turns q where q.status = 'queued' and ${isIdle}
     group by q.thread_id order by min(q.created_at) limit ?`,
    [limit],
  );
  return rows.map(({ threadId }) => threadId);
}

export async function nextTurn(db: Knex, threadId: string): Promise<NextTurn | null> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select q.id, q.thread_id, q.n, a.name as agent, q.owner_id, q.token_id, q.request, q.composition ->> 'pin' as pin,
       q.composition ->> 'personality' as personality
     from chat_turns q join chat_threads t on t.id = q.thread_id join agents a on a.id = t.agent_id
     where q.thread_id = ? and q.status = 'queued' and ${isIdle} order by q.n limit 1`,
    [threadId],
  );
  return rows.length === 0 ? null : nextSchema.parse(rows[0]);
}

/**
 * A turn's time has come: its answer gets its place, and its task is made. Of many who do so one does.
 * @param seen the revision of the thread that its request was composed from. @returns null when it is another by now.
 */
export async function startTurn(
  trx: Knex.Transaction,
  {
    turn,
    seen,
    task,
    composition,
    hasTools,
  }: { turn: NextTurn; seen: number; task: NewTask; composition: TurnComposition; hasTools: boolean },
): Promise<{ row: TaskRow; place: TurnPlace } | null> {
  const { id, threadId, n, ownerId } = turn;
  const thread = await lockThread(trx, { threadId, ownerId });
  if (thread.revision !== seen || (await nextTurn(trx, threadId))?.id !== id) return null;
  await trx('chatTurns')
    .where({ id })
    .update({
      status: 'running',
      waitsForTools: hasTools,
      taskId: task.id,
      poolName: task.poolKey,
      composition: JSON.stringify(composition),
    });
  const place = { id, threadId, n, answerIndex: thread.nextMessage };
  await insertPlaceholder(trx, { ...place, taskId: task.id });
  await trx('chatThreads')
    .where({ id: threadId })
    .update({
      nextMessage: thread.nextMessage + 1,
      revision: trx.raw('revision + 1'),
      lastTurnAt: trx.fn.now(),
    });
  const [row] = await insertTasks(trx, [task]);
  return row ? { row, place } : null;
}

/** Ends a turn that waits in line: it was cancelled, or can not be asked any more. @returns false when it waits no more. */
export async function endQueued(
  db: Knex,
  id: string,
  { status, code, message }: { status: 'cancelled' | 'error'; code: string; message: string },
): Promise<boolean> {
  const ended = await db('chatTurns')
    .where({ id, status: 'queued' })
    .update({
      status,
      errorCode: storableWord(code),
      errorMessage: storableSentence(message),
      endedAt: db.fn.now(),
    });
  return ended === 1;
}
