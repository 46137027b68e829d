import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { McpctlError } from '../../../errors.ts';
import type { RegistryLimits } from '../../names/limits.ts';
import { lockThread, openTurns, startThread } from '../locked-thread.ts';
import { unended } from '../rows.ts';

/** What its owner says of a thread. */
export interface ThreadChange {
  title?: string | undefined;
  pinned?: boolean | undefined;
  /** Deleted then; null: kept. */
  expiresAt?: Date | null | undefined;
}

export async function changeThread(
  db: Knex,
  { id, ownerId }: Own,
  { title, pinned, expiresAt }: ThreadChange,
): Promise<void> {
  const revision = db.raw('revision + 1');
  await db('chatThreads').where({ id, ownerId }).update({ title, pinned, expiresAt, revision });
}

interface Own {
  id: string;
  ownerId: string;
}

/** Later turns are told of that turn no more; what was said stays. One that is open is left alone. */
export async function leaveOut(trx: Knex.Transaction, { id, ownerId }: Own, turnId: string): Promise<void> {
  await lockThread(trx, { threadId: id, ownerId });
  const left = await trx('chatTurns')
    .where({ id: turnId, threadId: id, inContext: true })
    .whereNotNull('endedAt')
    .update({ inContext: false });
  // What is being composed of the thread as it was is composed again.
  if (left > 0)
    await trx('chatThreads')
      .where({ id })
      .update({
        revision: trx.raw('revision + 1'),
        leftOut: trx.raw(
          'left_out - case when (select n from chat_turns where id = ?) < context_from then 1 else 0 end',
          [turnId],
        ),
      });
}

/**
 * Copies a thread up to a turn, with ids of its own: what is said in either is not in the other. Tasks stay the first one's.
 * @returns the id of the new one. @throws McpctlError `thread_not_found`, `thread_busy`, `quota_exceeded`.
 */
export async function forkThread(
  trx: Knex.Transaction,
  { id, ownerId, atTurn, title }: Own & { atTurn: number | null; title: string | null },
  limits: RegistryLimits,
): Promise<string> {
  const { nextTurn } = await lockThread(trx, { threadId: id, ownerId });
  const at = atTurn ?? nextTurn - 1;
  if (at >= nextTurn) throw new McpctlError('thread_not_found');
  const open = (await openTurns(trx, id)).find(({ n }) => n <= at);
  if (open)
    throw new McpctlError('thread_busy', `Turn ${open.n} is still open; fork at a turn before it, or wait.`, {
      retryAfterS: 1,
      ...(open.taskId !== null && { taskId: open.taskId }),
    });
  const source = await trx('chatThreads')
    .where({ id })
    .first<{ agentId: string; title: string }>('agentId', 'title');
  const { rows } = await trx.raw<{ rows: { bytes: number }[] }>(
    `select coalesce(sum(m.bytes), 0)::float8 as bytes from chat_messages m join chat_turns q on q.id = m.turn_id
       where m.thread_id = :id and q.n <= :at`,
    { id, at },
  );
  const threadId = v7();
  const made = { agentId: source.agentId, title: title ?? source.title, bytes: rows[0]?.bytes ?? 0, limits };
  await startThread(trx, { threadId, ownerId }, made);
  await trx.raw(
    `with source as (
       select *, gen_random_uuid() as copy_id from chat_turns where thread_id = :id and n <= :at
     ), turns as (
       insert into chat_turns (id, thread_id, n, owner_id, token_id, status, in_context, pool_name, request, streaming,
           request_hash, error_code, error_message, composition, created_at, ended_at)
         select copy_id, :threadId, n, owner_id, token_id, status, in_context, pool_name, request, streaming,
           request_hash, error_code, error_message, composition, created_at, ended_at from source
     ), said as (
       insert into chat_messages (id, thread_id, turn_id, turn_index, role, status, content, parts, tool_calls, tool_call_id,
           reasoning, reasoning_field, is_whole, bytes, served_by, usage, finish_reason, made, created_at)
         select gen_random_uuid(), :threadId, source.copy_id, row_number() over (order by m.turn_index) - 1, m.role, m.status,
           m.content, m.parts, m.tool_calls, m.tool_call_id, m.reasoning, m.reasoning_field, m.is_whole, m.bytes, m.served_by,
           m.usage, m.finish_reason, m.made, m.created_at
         from chat_messages m join source on source.id = m.turn_id
       returning bytes
     )
     update chat_threads set forked_from = :id, forked_at = :at, next_turn = :at + 1, next_message = (select count(*) from said),
         weighed_to = (select count(*) from said), weighed_bytes = (select coalesce(sum(bytes), 0) from said),
         context_from = cut.first, left_out = cut.left_out
       from (select least(s.context_from, :at + 1) as first,
           (select count(*) from chat_turns where thread_id = :id and in_context and n < least(s.context_from, :at + 1)) as left_out
         from chat_threads s where s.id = :id) cut
       where id = :threadId`,
    { id, threadId, at },
  );
  return threadId;
}

const idsSchema = z.array(z.object({ id: z.string() }));

const isOutlived = `
  (t.expires_at < now() or t.last_turn_at < now() - cast(:keptMs as float8) * interval '1 millisecond')
    and not exists (${unended('t.id', '1')})`;

/**
 * Threads in which nothing is open and nothing was said for so long, or whose own time is over.
 * @param keptMs null: only their own time counts.
 */
export async function outlived(db: Knex, keptMs: number | null, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select t.id from chat_threads t where ${isOutlived} limit :limit`,
    { keptMs, limit },
  );
  return idsSchema.parse(rows).map(({ id }) => id);
}

/** Of all that was said in a thread, rounds before a turn's last one too: those have ended. */
export async function tasksOf(
  trx: Knex.Transaction,
  id: string,
): Promise<{ taskId: string; poolName: string; status: string }[]> {
  const { rows } = await trx.raw<{ rows: { taskId: string; poolName: string; status: string }[] }>(
    `select task_id, pool_name, status from chat_turns where thread_id = :id and task_id is not null
     union all select m.task_id, c.pool_name, 'completed' from chat_messages m join chat_turns c on c.id = m.turn_id
       where m.thread_id = :id and m.role = 'assistant' and m.task_id <> c.task_id
     union all select l.task_id, l.pool_name, case when l.ended_at is null then 'running' else 'completed' end
       from chat_calls l join chat_turns c on c.id = l.turn_id where c.thread_id = :id and l.task_id is not null`,
    { id },
  );
  return rows;
}

/** Whoever says something in it meanwhile is waited for, and then it stays. @returns its tasks. */
export async function deleteOutlived(
  trx: Knex.Transaction,
  id: string,
  keptMs: number | null,
): Promise<string[]> {
  await trx('chatThreads').where({ id }).forUpdate().select('id');
  const tasks = await tasksOf(trx, id);
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `delete from chat_threads t where t.id = :id and ${isOutlived}`,
    { id, keptMs },
  );
  return rowCount === 1 ? tasks.map(({ taskId }) => taskId) : [];
}

/** Turns that ended so long ago, and whose tasks keep their requests still, the oldest first. */
export async function withOldBodies(db: Knex, keptMs: number, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select id from chat_turns where ended_at < now() - :keptMs * interval '1 millisecond' and not body_dropped
     order by ended_at limit :limit`,
    { keptMs, limit },
  );
  return idsSchema.parse(rows).map(({ id }) => id);
}

/** Each request holds its whole thread once more, and can be composed again: the tasks of these keep theirs no longer. */
export async function dropOldBodies(db: Knex, turnIds: readonly string[]): Promise<number> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `with bodies as (
       update tasks set request_body = null, response_body = null
         from chat_messages m where m.turn_id = any(:turnIds) and m.role = 'assistant' and tasks.id = m.task_id
           and tasks.completed_at is not null
     )
     update chat_turns set body_dropped = true where id = any(:turnIds) and not body_dropped returning id`,
    { turnIds: [...turnIds] },
  );
  return rows.length;
}
