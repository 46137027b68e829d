import type { Knex } from 'knex';
import type { Assembled } from '../../agent/assemble.ts';
import { storableJsonText, storableSentence, storableWord } from '../../text/storable.ts';
import { storableReason, type ErrorReason } from '../../task/error-reason.ts';
import type { TaskRow } from '../../task/task.ts';
import { parseTask, returned } from './task-rows.ts';

interface Closing {
  id: string;
  /** Another pool's task of that id is left alone. */
  poolName: string;
  status: 'cancelled' | 'error';
  code: string;
  message: string;
  /** What a backend said beside the sentence. */
  errorReason?: ErrorReason | null;
  /** As `Settling` has it. */
  answer?: Assembled | null | undefined;
}

/** Rows are found as in `settleSql`, for the same reasons. */
const closeSql = `
  with said as (select * from json_to_recordset(?::json) as said (
    id uuid, pool_name text, status text, error_code text, error_message text, error_reason jsonb, answer jsonb)),
  held as (select id from tasks where id = any(array(select id from said))
    and status not in ('completed', 'error', 'cancelled') for update skip locked)
  update tasks set status = said.status, error_code = said.error_code, error_message = said.error_message,
    error_reason = said.error_reason, answer = said.answer, completed_at = now()
  from said, held
  where tasks.id = said.id and tasks.id = held.id and tasks.pool_name = said.pool_name
    and tasks.status not in ('completed', 'error', 'cancelled')
  returning ${returned}`;

/** Ends rows from outside in one statement, past those that somebody else holds. @returns those that it ended. */
export async function closeTasks(db: Knex, closings: readonly Closing[]): Promise<TaskRow[]> {
  if (closings.length === 0) return [];
  const rowsJson = closings.map(({ id, poolName, status, code, message, errorReason, answer }) => ({
    id,
    pool_name: poolName,
    status,
    error_code: storableWord(code),
    error_message: storableSentence(message),
    error_reason: errorReason ? storableReason(errorReason) : null,
    ...(answer && { answer }),
  }));
  const { rows } = await db
    .raw<{ rows: unknown[] }>(closeSql, [storableJsonText(rowsJson)])
    .options({ name: 'close_tasks' });
  return rows.map(parseTask);
}
