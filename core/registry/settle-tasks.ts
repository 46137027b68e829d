import type { Knex } from 'knex';
import { uuidSchema } from '../names.ts';
import type { Ending } from '../outcome.ts';
import type { TaskRow } from '../task.ts';
import { plausibleUsage } from './plausible-usage.ts';
import { parseTask, returned } from './task-rows.ts';

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
    answer_bytes: answerBytes(ending),
    finish_reason: isDone ? (outcome.finishReason ?? null) : null,
    claim_id: ending.claim,
    claimed_by: session === '' ? null : session,
    // One that is no id is nobody's: it must not cost the others of the statement their rows.
    llm_id: uuidSchema.safeParse(ending.llmId).data ?? null,
    claimed_at: ending.claimedAt,
    stream_started_at: ending.firstEventAt,
    ended_at: endedAt,
  };
}

/** Null: the stream does not tell. */
function answerBytes({ outcome, streamedBytes }: Ending): number | null {
  if ('body' in outcome && outcome.body !== undefined) return Buffer.byteLength(outcome.body);
  return streamedBytes;
}

/**
 * The rows are found by a list of their ids, and whether one is open is asked in words that no partial index is for: else
 * Postgres walks through all open tasks of all pools for each statement, 4 ms where 9,000 wait. The list is made inside, so
 * that no plan seems better for being made anew: one is made per connection, by the statement's name.
 */
const settleSql = `
  with said as (select * from json_to_recordset(?::json) as said (
    id uuid, status text, response_status int, response_body text, error_code text, error_message text,
    usage jsonb, answer_bytes bigint, finish_reason text, claim_id text, claimed_by uuid, llm_id uuid, claimed_at timestamptz,
    stream_started_at timestamptz, ended_at timestamptz))
  update tasks set
    status = said.status, response_status = said.response_status, response_body = said.response_body,
    error_code = said.error_code, error_message = said.error_message, usage = ${plausibleUsage},
    finish_reason = said.finish_reason, claim_id = said.claim_id, claimed_by = said.claimed_by,
    claimed_llm = (select name from llms where id = said.llm_id),
    claimed_at = said.claimed_at, stream_started_at = said.stream_started_at,
    completed_at = coalesce(said.ended_at, now())
  from said
  where tasks.id = said.id and tasks.id = any(array(select id from said))
    and tasks.status not in ('completed', 'error', 'cancelled')
  returning ${returned}`;

/** One statement for all of them. @returns each one's row in order; null for a task that had ended, or is not there. */
export async function settleTasks(db: Knex, settlings: readonly Settling[]): Promise<(TaskRow | null)[]> {
  const said = JSON.stringify(settlings.map(columnsOf));
  const { rows } = await db.raw<{ rows: unknown[] }>(settleSql, [said]).options({ name: 'settle_tasks' });
  const settled = new Map(rows.map(parseTask).map((row) => [row.id, row]));
  return settlings.map(({ id }) => settled.get(id) ?? null);
}
