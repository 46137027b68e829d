import { z } from 'zod';
import { storedIdSchema } from '../../names.ts';
import type { Assembled } from '../../agent/assemble.ts';
import type { Ending } from '../../task/outcome.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { storableInstant, storableJsonText, storableSentence, storableWord } from '../../text/storable.ts';
import { storableReason, type ErrorReason } from '../../task/error-reason.ts';
import { usageSchema, type TaskRow, type TaskStatus } from '../../task/task.ts';
import { instantSchema, orNothing } from '../../newer-words.ts';
import type { Prepared, RunPrepared } from '../database/prepared.ts';
import { plausibleUsage } from './plausible-usage.ts';
import { parseTask, returned, returning } from './task-rows.ts';

/** A task, and the outcome that the end of its stream carries. */
export interface Settling {
  id: string;
  ending: Ending;
  /** What a backend said of its refusal beside the sentence. */
  reason?: ErrorReason | null;
  /** Of a turn of a thread what its caller was shown: the row hands it over to the thread. */
  answer?: Assembled | null | undefined;
  /** As it was when it was made, or later: then no more of it is asked for than may have changed since. */
  row?: TaskRow | undefined;
}

/** The columns of one ending, as a row of `settleSql`. Workers wrote most of it: one text must not cost others their rows. */
function columnsOf({ id, ending, reason, answer }: Settling, body = bodyOf(ending)) {
  const { outcome, session, endedAt } = ending;
  const isDone = outcome.kind === 'completed';
  const status: TaskStatus = isDone ? 'completed' : outcome.kind === 'failed' ? 'error' : 'cancelled';
  return {
    id,
    status,
    response_status: 'status' in outcome ? (outcome.status ?? null) : null,
    response_body: body ?? null,
    error_code: isDone ? null : storableWord(outcome.code),
    error_message: isDone ? null : storableSentence(outcome.message),
    error_reason: reason ? storableReason(reason) : null,
    usage: 'usage' in outcome && outcome.usage ? outcome.usage : null,
    answer_bytes: answerBytes(ending),
    finish_reason: isDone && outcome.finishReason !== undefined ? storableWord(outcome.finishReason) : null,
    claim_id: storableWord(ending.claim),
    // One that is no id is nobody's.
    claimed_by: storedIdSchema.safeParse(session).data ?? null,
    llm_id: storedIdSchema.safeParse(ending.llmId).data ?? null,
    claimed_at: storableInstant(ending.claimedAt),
    stream_started_at: storableInstant(ending.firstEventAt),
    ended_at: storableInstant(endedAt),
    ...(answer && { answer }),
  };
}

const bodyOf = ({ outcome }: Ending): string | undefined => ('body' in outcome ? outcome.body : undefined);

/** What a settling carries, in characters. */
export const sizeOf = ({ ending, answer }: Settling): number =>
  (bodyOf(ending)?.length ?? 0) + (answer ? answer.content.length + (answer.reasoning?.length ?? 0) : 0);

/** Null: the stream does not tell. */
function answerBytes(ending: Ending): number | null {
  const body = bodyOf(ending);
  return body === undefined ? ending.streamedBytes : Buffer.byteLength(body);
}

/**
 * The rows are found by a list of their ids, and whether one is open is asked in words that no partial index is for: else
 * Postgres walks through all open tasks of all pools for each statement, 4 ms where 9,000 wait. The list is made inside, so
 * that no plan seems better for being made anew: one is made per connection, by the statement's name. What the bodies weigh
 * is given, as the trigger `weigh_task` would reckon it: lengths are told without reading what is stored.
 */
const settleSql = `
  with large as (select $1::text as body),
  said as (select * from json_to_recordset($2::json) as said (
    id uuid, status text, response_status int, response_body text, error_code text, error_message text,
    error_reason jsonb, usage jsonb, answer_bytes bigint, finish_reason text, claim_id text, claimed_by uuid, llm_id uuid, claimed_at timestamptz,
    stream_started_at timestamptz, ended_at timestamptz, answer jsonb)),
  held as (select id from tasks where id = any(array(select id from said))
    and status not in ('completed', 'error', 'cancelled') for update skip locked)
  update tasks set
    status = said.status, response_status = said.response_status, response_body = coalesce(large.body, said.response_body),
    error_code = said.error_code, error_message = said.error_message, error_reason = said.error_reason, usage = ${plausibleUsage},
    finish_reason = said.finish_reason, claim_id = said.claim_id, claimed_by = said.claimed_by,
    claimed_llm = (select name from llms where id = said.llm_id),
    claimed_at = said.claimed_at, stream_started_at = said.stream_started_at, answer = said.answer,
    completed_at = coalesce(said.ended_at, now()), kept_bytes = coalesce(octet_length(tasks.request_body), 0)::bigint
      + coalesce(octet_length(coalesce(large.body, said.response_body)), 0)
  from said, held, large
  where tasks.id = said.id and tasks.id = held.id
    and tasks.status not in ('completed', 'error', 'cancelled')
  returning `;

const settling: Prepared = { name: 'settle_tasks', sql: settleSql + returned };

/** What the settling itself has not said, and what may have changed since the row was made. */
const changedSchema = z.object({
  id: z.string(),
  epoch: z.number(),
  attempts: z.number(),
  crashes: z.number(),
  queueDeadline: instantSchema,
  usage: orNothing(usageSchema),
  claimedLlm: z.string().nullable(),
  completedAt: instantSchema.nullable(),
});
const settlingKnown: Prepared = {
  name: 'settle_known_tasks',
  sql: settleSql + returning(Object.keys(changedSchema.shape)),
};

const openAmong: Prepared = {
  name: 'open_among',
  sql: `select id from tasks where id = any($1::uuid[]) and status not in ('completed', 'error', 'cancelled')`,
};

/** Somebody else holds the row just now: to be tried again. */
export const LOCKED = 'locked';

/** The row behind its settling. */
function settledRow(
  row: TaskRow,
  written: ReturnType<typeof columnsOf>,
  changed: z.infer<typeof changedSchema>,
): TaskRow {
  return {
    ...row,
    status: written.status,
    responseStatus: written.response_status,
    errorCode: written.error_code,
    errorMessage: written.error_message,
    errorReason: written.error_reason,
    finishReason: written.finish_reason,
    claimId: written.claim_id,
    claimedBy: written.claimed_by,
    claimedAt: written.claimed_at,
    streamStartedAt: written.stream_started_at,
    ...changed,
  };
}

/**
 * One statement for all of them. One that somebody else holds is passed over, and costs the others no time.
 * @returns each one's row in order; null for a task that had ended, or is not there.
 */
export async function settleTasks(
  run: RunPrepared,
  settlings: readonly Settling[],
): Promise<(TaskRow | typeof LOCKED | null)[]> {
  const [first] = settlings;
  // As JSON inside of JSON a large body takes thrice the time, here and in Postgres.
  const large =
    settlings.length === 1 && first && isLarge(bodyOf(first.ending)?.length ?? 0)
      ? bodyOf(first.ending)
      : undefined;
  const written = settlings.map((one) => columnsOf(one, large === undefined ? undefined : ''));
  const values = [large ?? null, storableJsonText(written)];
  const settled = new Map<string, TaskRow>();
  if (settlings.every(({ row }) => row !== undefined)) {
    const changed = new Map<string, z.infer<typeof changedSchema>>();
    for (const answer of await run(settlingKnown, values)) {
      const parsed = changedSchema.parse(answer);
      changed.set(parsed.id, parsed);
    }
    for (const [at, { id, row }] of settlings.entries()) {
      const [its, columns] = [changed.get(id), written[at]];
      if (its && columns && row) settled.set(id, settledRow(row, columns, its));
    }
  } else for (const row of (await run(settling, values)).map(parseTask)) settled.set(row.id, row);
  const others = settlings.filter(({ id }) => !settled.has(id)).map(({ id }) => id);
  const open = others.length === 0 ? [] : await run(openAmong, [`{${others.join()}}`]);
  const locked = new Set(
    z
      .array(z.object({ id: z.string() }))
      .parse(open)
      .map(({ id }) => id),
  );
  return settlings.map(({ id }) => settled.get(id) ?? (locked.has(id) ? LOCKED : null));
}
