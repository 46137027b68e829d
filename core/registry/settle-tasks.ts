import type { Knex } from 'knex';
import type { Ending } from '../outcome.ts';
import type { TaskRow } from '../task.ts';
import { toSnake } from './columns.ts';
import { OPEN, parseTask, rowColumns } from './task-rows.ts';

/** A task, and the outcome that the end of its stream carries. */
export interface Settling {
  id: string;
  ending: Ending;
}

/** The columns of one ending, as a row of `settleSql`. */
function columnsOf({ id, ending }: Settling) {
  const { outcome, session, endedAt } = ending;
  const isDone = outcome.kind === 'completed';
  return {
    id,
    status: isDone ? 'completed' : outcome.kind === 'failed' ? 'error' : 'cancelled',
    response_status: 'status' in outcome ? (outcome.status ?? null) : null,
    response_body: 'body' in outcome ? (outcome.body ?? null) : null,
    error_code: isDone ? null : outcome.code,
    error_message: isDone ? null : outcome.message,
    usage: 'usage' in outcome && outcome.usage ? outcome.usage : null,
    finish_reason: isDone ? (outcome.finishReason ?? null) : null,
    claim_id: ending.claim,
    claimed_by: session === '' ? null : session,
    llm_id: ending.llmId,
    claimed_at: ending.claimedAt,
    stream_started_at: ending.firstEventAt,
    ended_at: endedAt,
  };
}

const settleSql = `
  update tasks set
    status = said.status, response_status = said.response_status, response_body = said.response_body,
    error_code = said.error_code, error_message = said.error_message, usage = said.usage,
    finish_reason = said.finish_reason, claim_id = said.claim_id, claimed_by = said.claimed_by,
    claimed_llm = (select name from llms where id::text = said.llm_id),
    claimed_at = said.claimed_at, stream_started_at = said.stream_started_at,
    completed_at = coalesce(said.ended_at, now())
  from json_to_recordset(?::json) as said (
    id uuid, status text, response_status int, response_body text, error_code text, error_message text,
    usage jsonb, finish_reason text, claim_id text, claimed_by uuid, llm_id text, claimed_at timestamptz,
    stream_started_at timestamptz, ended_at timestamptz)
  where tasks.id = said.id and tasks.${OPEN}
  returning ${rowColumns.map((column) => `tasks.${toSnake(column)}`).join(', ')}`;

/** One statement for all of them. @returns each one's row in order; null for a task that had ended, or is not there. */
export async function settleTasks(db: Knex, settlings: readonly Settling[]): Promise<(TaskRow | null)[]> {
  const { rows } = await db.raw<{ rows: unknown[] }>(settleSql, [JSON.stringify(settlings.map(columnsOf))]);
  const settled = new Map(rows.map(parseTask).map((row) => [row.id, row]));
  return settlings.map(({ id }) => settled.get(id) ?? null);
}
