import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { toolCallSchema } from '../../../agent/assemble.ts';
import { McpctlError } from '../../../errors.ts';
import { storableText } from '../../../text/storable.ts';
import { canonical } from '../../canonical.ts';
import type { Connection } from '../../database/connect.ts';
import type { RegistryLimits } from '../../names/limits.ts';
import { contentColumns, type NewMessage } from '../accept-turn.ts';
import { lockThread, moveOn, needRoom } from '../locked-thread.ts';

/** Turns for which no result came in time end: later turns are told of them, in neutral words for what is missing. */
async function expireTools(db: Knex): Promise<number> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update chat_turns set status = 'error', error_code = 'tools_expired', error_message = :message, ended_at = now(),
         tool_deadline = null
       where id in (select id from chat_turns where status = 'waiting' and tool_deadline < now()
         order by tool_deadline limit 100 for update skip locked) returning 1`,
    { message: 'No results of the tools that it called came within a day.' },
  );
  return rows.length;
}

const waitingSchema = z.object({
  id: z.string(),
  status: z.string(),
  taskId: z.string().nullable(),
  serverCalls: z.string().nullable(),
});
const callsSchema = z.array(toolCallSchema).nullable().catch(null);
const resultSchema = z.object({ toolCallId: z.string(), content: z.string(), parts: z.string().nullable() });

/** Longer ones are nobody's to answer: later rounds are told so, in neutral words. */
export const MOST_ID_CHARS = 256;

/** Calls of the round that ended last, by id; in the order that the model made them. */
async function callsOf(trx: Knex, turnId: string, taskId: string): Promise<string[]> {
  const row = await trx('chatMessages')
    .where({ turnId, taskId, role: 'assistant' })
    .first<{ toolCalls: unknown } | undefined>('toolCalls');
  const ids = (callsSchema.parse(row?.toolCalls ?? null) ?? []).map(({ id }) => id);
  return [...new Set(ids.filter((id) => id.length <= MOST_ID_CHARS))];
}

/** Those of them that the server answers. */
async function serversCalls(trx: Knex.Transaction, turnId: string, roundId: string): Promise<Set<string>> {
  const rows = await trx('chatCalls').where({ turnId, roundId }).select<{ callId: string }[]>('callId');
  return new Set(rows.map(({ callId }) => callId));
}

/** With its last result a round waits for none any more, whoever brought them: the next one may begin. */
export async function ripen(
  trx: Knex.Transaction,
  { turnId, taskId }: { turnId: string; taskId: string },
): Promise<void> {
  const calls = await callsOf(trx, turnId, taskId);
  const there = new Set(
    (await resultsIn(trx, { turnId, taskId, isWaiting: true })).map(({ toolCallId }) => toolCallId),
  );
  if (calls.every((id) => there.has(id)))
    await trx('chatTurns').where({ id: turnId, status: 'waiting' }).update({ toolDeadline: null });
}

/** What a turn still waits for, of its client. */
interface Missing {
  missing: string[];
  /** The round that called them. */
  taskId: string | null;
  isWaiting: boolean;
}

/**
 * Takes results of tools for the round that waits for them, in any order and in parts. One that is there already, with the same content,
 * changes nothing; when the last one is there, the next round may begin.
 * @throws McpctlError `tool_result_mismatch` for a call that nobody made, or that is the server's, `tool_result_differs`, `thread_full`,
 *   `thread_busy` where it is not said yet whose they are.
 */
async function addResults(
  trx: Knex.Transaction,
  {
    threadId,
    ownerId,
    n,
    results,
  }: { threadId: string; ownerId: string; n: number; results: readonly NewMessage[] },
  limits: RegistryLimits,
): Promise<Missing> {
  const thread = await lockThread(trx, { threadId, ownerId });
  const row: unknown = await trx('chatTurns')
    .where({ threadId, n })
    .first('id', 'status', 'taskId', 'serverCalls');
  if (row === undefined) throw new McpctlError('thread_not_found');
  const { id: turnId, status, taskId, serverCalls } = waitingSchema.parse(row);
  const isWaiting = status === 'waiting' && taskId !== null;
  if (isWaiting && serverCalls === 'due') throw new McpctlError('thread_busy', undefined, { retryAfterS: 1 });
  const servers = isWaiting ? await serversCalls(trx, turnId, taskId) : new Set();
  const calls = isWaiting ? (await callsOf(trx, turnId, taskId)).filter((id) => !servers.has(id)) : [];
  const kept = await resultsIn(trx, { turnId, taskId, isWaiting });
  const fresh: NewMessage[] = [];
  for (const result of results) {
    const id = result.toolCallId ?? '';
    const before = [...kept, ...fresh].filter(({ toolCallId }) => toolCallId === id);
    if (before.some((each) => isSame(each, result))) continue;
    if (before.length > 0)
      throw new McpctlError(
        'tool_result_differs',
        `The call '${id.slice(0, 64)}' has another result already; it stays.`,
      );
    if (!calls.includes(id))
      throw new McpctlError(
        'tool_result_mismatch',
        isWaiting
          ? `Turn ${n} waits for no result of '${id.slice(0, 64)}'; get its last message to see the calls.`
          : `Turn ${n} waits for no results: it is ${status}.`,
      );
    fresh.push(result);
  }
  const answered = new Set([...kept, ...fresh].map(({ toolCallId }) => toolCallId));
  const missing = calls.filter((id) => !answered.has(id));
  if (fresh.length > 0) {
    const bytes = fresh.reduce((sum, { content, parts }) => sum + Buffer.byteLength(parts ?? content), 0);
    await needRoom(trx, { threadId, messages: fresh.length, bytes, thread, limits });
    await insertResults(trx, { threadId, turnId, taskId, first: thread.nextMessage, results: fresh });
    await moveOn(trx, threadId, { messages: fresh.length });
  }
  if (isWaiting && missing.length === 0) await ripen(trx, { turnId, taskId });
  return { missing, taskId, isWaiting };
}

/** Of the round that waits, or of all. */
async function resultsIn(
  trx: Knex.Transaction,
  about: { turnId: string; taskId: string | null; isWaiting: boolean },
): Promise<z.infer<typeof resultSchema>[]> {
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select tool_call_id, content, parts::text as parts from chat_messages
     where turn_id = :turnId and role = 'tool' and (not :isWaiting or task_id = :taskId)`,
    about,
  );
  return z.array(resultSchema).parse(rows);
}

const isSame = (
  a: Pick<NewMessage, 'content' | 'parts'>,
  b: Pick<NewMessage, 'content' | 'parts'>,
): boolean => a.content === storableText(b.content) && canonical(partsOf(a)) === canonical(partsOf(b));

const partsOf = ({ parts }: Pick<NewMessage, 'parts'>): unknown =>
  parts === null ? null : JSON.parse(parts);

export async function insertResults(
  trx: Knex.Transaction,
  {
    threadId,
    turnId,
    taskId,
    first,
    results,
  }: {
    threadId: string;
    turnId: string;
    taskId: string | null;
    first: number;
    results: readonly Omit<NewMessage, 'role'>[];
  },
): Promise<void> {
  await trx('chatMessages').insert(
    results.map(({ toolCallId, content, parts }, at) => ({
      ...{
        id: v7(),
        threadId,
        turnId,
        taskId,
        role: 'tool',
        status: 'complete',
        toolCallId,
        turnIndex: first + at,
      },
      ...contentColumns({ content, parts }),
      bytes: Buffer.byteLength(parts ?? content),
    })),
  );
}

export interface ToolResults {
  /** As `addResults`. */
  addResults(what: Parameters<typeof addResults>[1]): Promise<Missing>;
  /** @returns how many turns have waited too long for results of tools. */
  expireTools(): Promise<number>;
}

/** Turns that wait for results of tools; their next rounds are started as every turn is (start-turn.ts). */
export const createToolResults = ({ db, transaction }: Connection, limits: RegistryLimits): ToolResults => ({
  addResults: (what) => transaction((trx) => addResults(trx, what, limits)),
  expireTools: () => expireTools(db),
});
