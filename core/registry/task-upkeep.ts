import { uuidSchema } from '../names.ts';
import type { Knex } from 'knex';
import { z } from 'zod';
import { taskHeadSchema, type TaskHead } from '../task-head.ts';
import type { TaskRow } from '../task.ts';
import type { Connection } from './connect.ts';
import { OPEN, parseTasks, rowColumns } from './task-rows.ts';

/** What the scheduler's duties ask about tasks. */
export interface TaskUpkeep {
  /** Tasks that have not ended and are older than `olderThanMs`, in pages by id, so that nothing starves. */
  openOlderThan(olderThanMs: number, page: { after: string | null; limit: number }): Promise<TaskRow[]>;
  /** What it takes to enqueue a task again; null when the row is gone. */
  submissionOf(id: string): Promise<Submission | null>;
  /** Tasks that have not ended although their time to wait is over. */
  overdue(limit: number): Promise<TaskRow[]>;
  /** Pool keys with a task that has not ended. */
  openPools(): Promise<string[]>;
  /**
   * Which of these ids have a row that has not ended, of this pool where one is named: what stands in a pool's keys says
   * nothing about others' tasks. What is no id has none.
   */
  openAmong(ids: readonly string[], poolKey?: string): Promise<Set<string>>;
  /** Deletes tasks that ended longer ago than this, and expired idempotency keys. @returns how many tasks. */
  prune(retentionMs: number, limit: number): Promise<number>;
  /** Drops both bodies of a task that has ended and asked for that. @returns whether there were any. */
  dropBodies(id: string): Promise<boolean>;
  /** The same for all that ended longer ago than this: nobody has come for them. @returns how many. */
  dropUnfetched(olderThanMs: number, limit: number): Promise<number>;
}

/** `waitMs` is what is left of the time to wait. */
export interface Submission {
  body: string;
  head: TaskHead;
  waitMs: number;
}

const submissionSchema = z.object({
  requestBody: z.string(),
  requestHeaders: taskHeadSchema,
  waitMs: z.coerce.number(),
});

async function submissionOf(db: Knex, id: string): Promise<Submission | null> {
  const row: unknown = await db('tasks')
    .where({ id })
    .whereNotNull('requestBody')
    .first(
      'requestBody',
      'requestHeaders',
      db.raw(`greatest(0, extract(epoch from queue_deadline - now()) * 1000) as wait_ms`),
    );
  const parsed = submissionSchema.safeParse(row);
  if (!parsed.success) return null;
  const { requestBody: body, requestHeaders: head, waitMs } = parsed.data;
  return { body, head, waitMs: Math.round(waitMs) };
}

/** Ended, not to be kept, and still there: the same words as the partial index `tasks_unfetched`, or it is not used. */
const DROPPABLE = `retention = 'none' and completed_at is not null and (request_body is not null or response_body is not null)`;
const nobody = { requestBody: null, responseBody: null };

export function createTaskUpkeep({ db }: Connection): TaskUpkeep {
  return {
    async openOlderThan(olderThanMs, { after, limit }) {
      const query = db('tasks')
        .whereRaw(OPEN)
        .whereRaw(`created_at < now() - ? * interval '1 millisecond'`, [olderThanMs])
        .orderBy('id')
        .limit(limit);
      if (after !== null) query.where('id', '>', after);
      return parseTasks(await query.select<unknown[]>(rowColumns));
    },
    submissionOf: (id) => submissionOf(db, id),
    async overdue(limit) {
      return parseTasks(
        await db('tasks')
          .whereRaw(OPEN)
          .where('queueDeadline', '<', db.fn.now())
          .orderBy('id')
          .limit(limit)
          .select<unknown[]>(rowColumns),
      );
    },
    async openPools() {
      const rows = await db('tasks').whereRaw(OPEN).distinct<{ poolName: string }[]>('poolName');
      return rows.map((row) => row.poolName);
    },
    async openAmong(ids, poolKey) {
      const known = ids.filter((id) => uuidSchema.safeParse(id).success);
      if (known.length === 0) return new Set();
      const query = db('tasks').whereIn('id', known).whereRaw(OPEN);
      if (poolKey !== undefined) query.where('poolName', poolKey);
      const rows = await query.select<{ id: string }[]>('id');
      return new Set(rows.map((row) => row.id));
    },
    async dropBodies(id) {
      return (await db('tasks').where({ id }).whereRaw(DROPPABLE).update(nobody)) > 0;
    },
    async dropUnfetched(olderThanMs, limit) {
      const ids = db('tasks')
        .whereRaw(DROPPABLE)
        .where('completedAt', '<', db.raw(`now() - ? * interval '1 millisecond'`, [olderThanMs]))
        .limit(limit)
        .select('id');
      return await db('tasks').whereIn('id', ids).update(nobody);
    },
    async prune(retentionMs, limit) {
      await db('idempotency').where('expiresAt', '<', db.fn.now()).delete();
      return await db('tasks')
        .whereIn(
          'id',
          db('tasks')
            .where('completedAt', '<', db.raw(`now() - ? * interval '1 millisecond'`, [retentionMs]))
            .limit(limit)
            .select('id'),
        )
        .delete();
    },
  };
}
