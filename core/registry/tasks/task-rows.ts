import type { Knex } from 'knex';
import { taskRowSchema, type TaskRow } from '../../task/task.ts';
import { toSnake } from '../database/columns.ts';

/** Everything but the bodies: they may be large. */
export const rowColumns = Object.keys(taskRowSchema.shape);
/** Columns in SQL, for what a statement returns, called as the code calls them. */
export const returning = (columns: readonly string[]): string =>
  columns.map((column) => `tasks.${toSnake(column)} as "${column}"`).join(', ');
/** The same of `rowColumns`. */
export const returned = returning(rowColumns);
export const parseTask = (row: unknown): TaskRow => taskRowSchema.parse(row);
export const parseTasks = (rows: readonly unknown[]): TaskRow[] => rows.map(parseTask);

/** Of these rows the ids of those that ended first, locked, past those that somebody holds. */
export async function endedFirst(ended: Knex.QueryBuilder, limit: number): Promise<string[]> {
  return await freeIds(ended.orderBy('completedAt').limit(limit));
}

/** The ids of these rows, locked, past those that somebody holds. */
export async function freeIds(rows: Knex.QueryBuilder): Promise<string[]> {
  const free = await rows.forUpdate().skipLocked().select<{ id: string }[]>('id');
  return free.map(({ id }) => id);
}

/** Of these rows those with one of the ids, locked, past those that somebody holds: what a write is about. */
export const freeAmong = (rows: Knex.QueryBuilder, ids: readonly string[]): Knex.QueryBuilder =>
  rows
    .whereIn('id', [...ids])
    .forUpdate()
    .skipLocked()
    .select('id');

/** Rows that have not ended: the same words as the partial index `tasks_open`, or it is not used. */
export const OPEN = `status in ('pending', 'claimed', 'running')`;

/** The time to wait of one that starts over, unless it is longer yet: a moment, or all that it was given if that is less. */
export const STARTS_OVER = `greatest(queue_deadline, now() + least(interval '60 seconds', queue_deadline - created_at))`;
