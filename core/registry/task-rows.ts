import { taskRowSchema, type TaskRow } from '../task.ts';
import { toSnake } from './columns.ts';

/** Everything but the bodies: they may be large. */
export const rowColumns = Object.keys(taskRowSchema.shape);
/** The same in SQL, for what a statement returns. */
export const returned = rowColumns.map((column) => `tasks.${toSnake(column)}`).join(', ');
export const parseTask = (row: unknown): TaskRow => taskRowSchema.parse(row);
export const parseTasks = (rows: readonly unknown[]): TaskRow[] => rows.map(parseTask);

/** Rows that have not ended: the same words as the partial index `tasks_open`, or it is not used. */
export const OPEN = `status in ('pending', 'claimed', 'running')`;
