import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { toolCallSchema } from '../../agent/assemble.ts';
import { McpctlError } from '../../errors.ts';
import type { TaskRow } from '../../task/task.ts';
import { storableJsonText, storableText } from '../../text/storable.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import {
  insertPlaceholder,
  lockThread,
  needRoom,
  type NewMessage,
  type TurnComposition,
  type TurnPlace,
} from './accept-turn.ts';
import { endWaiting } from './end-waiting.ts';

/** A turn that waits for results of tools, all of which are there: its next round may begin. */
const readySchema = z.object({
  id: z.string(),
  threadId: z.string(),
  n: z.number(),
  agent: z.string(),
  ownerId: z.string(),
  tokenId: z.string(),
  request: z.string(),
  pin: z.string().nullable(),
  personality: z.string().nullable(),
  taskId: z.string(),
  rounds: z.number(),
});
export type ReadyTurn = z.infer<typeof readySchema>;

/** Without a deadline it waits for nothing any more. */
const isReady = `c.status = 'waiting' and c.tool_deadline is null`;

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

/** Threads with a turn whose next round is to begin: whoever brought the last result has gone, or its edge has died. */
async function readyThreads(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { threadId: string }[] }>(
    `select c.thread_id from chat_turns c where ${isReady} limit ?`,
    [limit],
  );
  return rows.map(({ threadId }) => threadId);
}

async function readyTurn(db: Knex, threadId: string): Promise<ReadyTurn | null> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select c.id, c.thread_id, c.n, a.name as agent, c.owner_id, c.token_id, c.request, c.composition ->> 'pin' as pin,
       c.composition ->> 'personality' as personality, c.task_id, c.rounds
     from chat_turns c join chat_threads t on t.id = c.thread_id join agents a on a.id = t.agent_id
     where c.thread_id = ? and ${isReady}`,
    [threadId],
  );
  return rows.length === 0 ? null : readySchema.parse(rows[0]);
}

const waitingSchema = z.object({
  id: z.string(),
  status: z.string(),
  taskId: z.string().nullable(),
  rounds: z.number(),
});
const callsSchema = z.array(toolCallSchema).nullable().catch(null);
const resultSchema = z.object({ toolCallId: z.string(), content: z.string(), parts: z.string().nullable() });

/** Calls of the round that ended last, by id; in the order that the model made them. */
async function callsOf(trx: Knex, turnId: string, taskId: string): Promise<string[]> {
  const row = await trx('chatMessages')
    .where({ turnId, taskId, role: 'assistant' })
    .first<{ toolCalls: unknown } | undefined>('toolCalls');
  return [...new Set((callsSchema.parse(row?.toolCalls ?? null) ?? []).map(({ id }) => id))];
}

/** What a turn still waits for. */
interface Missing {
  missing: string[];
  /** The round that called them. */
  taskId: string | null;
  isWaiting: boolean;
}

/**
 * Takes results of tools for the round that waits for them, in any order and in parts. One that is there already, with the same content,
 * changes nothing; when the last one is there, the next round may begin.
 * @throws McpctlError `tool_result_mismatch` for a call that nobody made, `tool_result_differs`, `thread_full`.
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
    .first('id', 'status', 'taskId', 'rounds');
  if (row === undefined) throw new McpctlError('thread_not_found');
  const { id: turnId, status, taskId } = waitingSchema.parse(row);
  const isWaiting = status === 'waiting' && taskId !== null;
  const calls = isWaiting ? await callsOf(trx, turnId, taskId) : [];
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
    await trx('chatThreads')
      .where({ id: threadId })
      .update({
        nextMessage: thread.nextMessage + fresh.length,
        revision: trx.raw('revision + 1'),
        lastTurnAt: trx.fn.now(),
      });
  }
  if (isWaiting && missing.length === 0)
    await trx('chatTurns').where({ id: turnId }).update({ toolDeadline: null });
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
): boolean => a.content === storableText(b.content) && canonical(a.parts) === canonical(b.parts);

/** As Postgres writes JSON makes no difference. */
const canonical = (parts: string | null): string | null =>
  parts === null ? null : JSON.stringify(sorted(JSON.parse(parts)));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, of]) => [key, sorted(of)]),
  );
}

async function insertResults(
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
    results: readonly NewMessage[];
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
      content: storableText(content),
      parts: parts === null ? null : storableJsonText(JSON.parse(parts)),
      bytes: Buffer.byteLength(parts ?? content),
    })),
  );
}

/**
 * The next round of a turn: a task of its own, the answer's place behind the results. Of many who begin it one does.
 * @returns null where it is another turn's time, or the thread is not what the request was composed from.
 */
async function startRound(
  trx: Knex.Transaction,
  {
    turn,
    seen,
    task,
    composition,
  }: { turn: ReadyTurn; seen: number; task: NewTask; composition: TurnComposition },
): Promise<{ row: TaskRow; place: TurnPlace } | null> {
  const { id, threadId, n, ownerId, taskId } = turn;
  const thread = await lockThread(trx, { threadId, ownerId });
  if (thread.revision !== seen || (await readyTurn(trx, threadId))?.taskId !== taskId) return null;
  await trx('chatTurns')
    .where({ id })
    .update({
      ...{ status: 'running', taskId: task.id, poolName: task.poolKey, rounds: turn.rounds + 1 },
      composition: JSON.stringify(composition),
    });
  const place = { id, threadId, n, answerIndex: thread.nextMessage };
  await insertPlaceholder(trx, { ...place, taskId: task.id });
  await trx('chatThreads')
    .where({ id: threadId })
    .update({
      nextMessage: thread.nextMessage + 1,
      revision: trx.raw('revision + 1'),
      lastTurnAt: trx.fn.now(),
    });
  const [row] = await insertTasks(trx, [task]);
  return row ? { row, place } : null;
}

export interface Rounds {
  /** As `addResults`. */
  addResults(what: Parameters<typeof addResults>[1]): Promise<Missing>;
  /** A turn whose next round is to begin; null: none. */
  ready(threadId: string): Promise<ReadyTurn | null>;
  /** Threads that have one. */
  readyThreads(limit: number): Promise<string[]>;
  /** As `startRound`. */
  startRound(what: Parameters<typeof startRound>[1]): Promise<{ row: TaskRow; place: TurnPlace } | null>;
  /** @returns false when it waits for results no more. */
  endWaiting(turnId: string, how: Parameters<typeof endWaiting>[2]): Promise<boolean>;
  /** @returns how many turns have waited too long for results of tools. */
  expireTools(): Promise<number>;
}

/** Turns that wait for results of tools, and their further rounds. */
export const createRounds = ({ db, transaction }: Connection, limits: RegistryLimits): Rounds => ({
  addResults: (what) => transaction((trx) => addResults(trx, what, limits)),
  ready: (threadId) => readyTurn(db, threadId),
  readyThreads: (limit) => readyThreads(db, limit),
  startRound: (what) => transaction((trx) => startRound(trx, what), what.task.requestBody.length),
  endWaiting: (turnId, how) => endWaiting(db, turnId, how),
  expireTools: () => expireTools(db),
});
