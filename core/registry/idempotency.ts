import type { Knex } from 'knex';
import type { TaskRow } from '../task/task.ts';
import type { Connection } from './database/connect.ts';
import { preparedIn } from './database/prepared.ts';
import { insertTasks, type NewTask } from './tasks/insert-tasks.ts';
import { OPEN } from './tasks/task-rows.ts';

/** What a call said it may be repeated under, and what it asked for. */
export interface TaskKey {
  ownerId: string;
  key: string;
  /** Of everything that makes two calls equal. */
  requestHash: string;
}

/** The task that a key stands for already. */
export interface KnownTask {
  taskId: string;
  requestHash: string;
}

/** SQL: the task of the key `i` has not ended. It stands for that as long, or who comes again would have it done twice. */
export const IS_OPEN = `exists (select 1 from tasks where tasks.id = i.task_id and tasks.${OPEN})`;

/** `Idempotency-Key`: one task per user and key, for as long as the key lives, by the database's clock, and its task has not ended. */
export interface Idempotency {
  find(key: Pick<TaskKey, 'ownerId' | 'key'>): Promise<KnownTask | undefined>;
  /**
   * Accepts a task under a key, both or neither. Of equal calls at the same time one inserts, the others wait
   * for it and get what it made.
   */
  insert(task: NewTask, key: TaskKey & { lifeMs: number }): Promise<{ row: TaskRow } | { task: KnownTask }>;
}

export function createIdempotency({ db, transaction }: Connection): Idempotency {
  const insert: Idempotency['insert'] = async (task, key) =>
    (await transaction((trx) => insertUnder(trx, task, key), task.requestBody.length)) ??
    (await insert(task, key));
  return {
    insert,
    find: ({ ownerId, key }) =>
      db('idempotency as i')
        .where({ ownerId, key })
        .whereRaw(`(i.expires_at > now() or ${IS_OPEN})`)
        .first<KnownTask | undefined>('taskId', 'requestHash'),
  };
}

/** @returns null when the key was there, but expired and was pruned in the meantime. */
async function insertUnder(
  trx: Knex.Transaction,
  task: NewTask,
  { ownerId, key, requestHash, lifeMs }: TaskKey & { lifeMs: number },
): Promise<{ row: TaskRow } | { task: KnownTask } | null> {
  // The task's own row follows in this transaction: the reference to it is checked at the commit.
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `insert into idempotency as i (owner_id, key, request_hash, task_id, expires_at)
     values (:ownerId, :key, :requestHash, :taskId, now() + :lifeMs * interval '1 millisecond')
     on conflict (owner_id, key) do update
       set request_hash = excluded.request_hash, task_id = excluded.task_id, expires_at = excluded.expires_at
       where i.expires_at <= now() and not ${IS_OPEN}`,
    { ownerId, key, requestHash, taskId: task.id, lifeMs },
  );
  if (rowCount === 1) {
    const [row] = await insertTasks(preparedIn(trx), [task]);
    if (row) return { row };
  }
  const earlier = await trx('idempotency')
    .where({ ownerId, key })
    .first<KnownTask | undefined>('taskId', 'requestHash');
  return earlier ? { task: earlier } : null;
}
