import { taskRowSchema, type TaskRow } from '../../task/task.ts';
import { toSnake } from '../database/columns.ts';

/** Everything but the bodies: they may be large. */
export const rowColumns = Object.keys(taskRowSchema.shape);
/** The same in SQL, for what a statement returns. */
export const returned = rowColumns.map((column) => `tasks.${toSnake(column)}`).join(', ');
export const parseTask = (row: unknown): TaskRow => taskRowSchema.parse(row);
export const parseTasks = (rows: readonly unknown[]): TaskRow[] => rows.map(parseTask);

/** Rows that have not ended: the same words as the partial index `tasks_open`, or it is not used. */
export const OPEN = `status in ('pending', 'claimed', 'running')`;

/** The time to wait of one that starts over, unless it is longer yet: a moment, or all that it was given if that is less. */
export const STARTS_OVER = `greatest(queue_deadline, now() + least(interval '60 seconds', queue_deadline - created_at))`;
