import type { Knex } from 'knex';
import { z } from 'zod';
import { toolCallSchema, type ToolCall } from '../../../agent/assemble.ts';
import { extrasOf } from '../../../agent/extras.ts';
import type { ErrorCode } from '../../../errors.ts';
import { orNothing } from '../../../newer-words.ts';
import { storableText, storableWord } from '../../../text/storable.ts';
import type { TaskRow } from '../../../task/task.ts';
import type { Connection } from '../../database/connect.ts';
import type { RegistryLimits } from '../../names/limits.ts';
import { preparedIn } from '../../database/prepared.ts';
import { insertTasks, type NewTask } from '../../tasks/insert-tasks.ts';
import { lockThread, moveOn, needRoom } from '../locked-thread.ts';
import { callJson, callSchema, type CallRow } from '../rows.ts';
import { insertResults, ripen } from './tool-results.ts';

/** A turn whose answer has called tools, and it is not said yet what becomes of them. */
const dueSchema = z.object({
  id: z.string(),
  threadId: z.string(),
  n: z.number(),
  ownerId: z.string(),
  tokenId: z.string(),
  /** What the turn was asked with: it names the tools of its client. */
  request: z.string(),
  /** The round that called them. */
  taskId: z.string(),
  /** The project whose tools the turn was made with, while its agent has them still; null: none's. */
  toolsOf: z.object({ id: z.string(), name: z.string() }).nullable(),
  /** Tools that the agent lets through, whoever runs them; null: all. */
  allowed: z.unknown().transform((extras) => extrasOf(extras).allowedTools),
  calls: orNothing(z.array(toolCallSchema)),
  /** Those of them that wait for room, by their ids, where the others are begun; null: none is. */
  waiting: z.array(z.string()).nullable(),
  /** Since the first call of the turn; 0: these are the first. */
  sinceMs: z.number(),
});
export type DueTurn = Omit<z.infer<typeof dueSchema>, 'calls'> & { calls: ToolCall[] };

/** What becomes of a call: a task runs it, it has its result at once, or it waits until its caller has room for a task more. */
export interface BegunCall {
  call: ToolCall;
  position: number;
  server: string | null;
  becomes: { task: NewTask } | { code: ErrorCode | null; content: string } | 'waits';
}

/** A call that runs no more, and is no result yet. */
const endedSchema = z.object({
  turnId: z.string(),
  threadId: z.string(),
  ownerId: z.string(),
  roundId: z.string(),
  callId: z.string(),
  taskId: z.string(),
  server: z.string(),
  /** The tool, as its model named it. */
  called: z.string(),
  ownerName: z.string(),
  /** Tools that its agent lets through; null: all. */
  allowed: z.unknown().transform((extras) => extrasOf(extras).allowedTools),
  /** The project in which it was begun, by its name: what is not shown of results it says. Null: there is none any more. */
  project: z.string().nullable(),
  projectId: z.string().nullable(),
  /** Null: its task is kept no more. */
  status: z.string().nullable(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
});
export type EndedCall = z.infer<typeof endedSchema>;

/** A call whose turn waits for it no more. */
const strayedSchema = z.object({
  turnId: z.string(),
  roundId: z.string(),
  callId: z.string(),
  taskId: z.string(),
  poolName: z.string(),
});
export type StrayedCall = z.infer<typeof strayedSchema>;

const isOpen = `q.status = 'waiting' and q.server_calls = 'open'`;
const hasEnded = `c.ended_at is null and c.task_id is not null and (k.id is null or k.completed_at is not null)`;
const waitsForRoom = `c.ended_at is null and c.task_id is null`;

/** Threads with a turn of which a step is to be taken: calls to begin, or results to collect; last those whose calls wait for room. */
async function threadsWithCalls(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { threadId: string }[] }>(
    `select thread_id from (
       select q.thread_id, case when q.server_calls = 'due' then 1
           when exists (select 1 from chat_calls c left join tasks k on k.id = c.task_id where c.turn_id = q.id and ${hasEnded}) then 2
           when exists (select 1 from chat_calls c where c.turn_id = q.id and ${waitsForRoom}) then 3 end as kind
         from chat_turns q where q.status = 'waiting' and q.server_calls in ('due', 'open')) q
     where kind is not null order by kind limit ?`,
    [limit],
  );
  return rows.map(({ threadId }) => threadId);
}

async function dueTurn(db: Knex, threadId: string): Promise<DueTurn | null> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select q.id, q.thread_id, q.n, q.owner_id, q.token_id, q.request, q.task_id, m.tool_calls as calls, a.extras as allowed,
       case when a.server_tools and coalesce(q.tools_project_id, a.project_id) = a.project_id
         then (select json_build_object('id', p.id, 'name', p.name) from projects p where p.id = a.project_id) end as tools_of,
       coalesce(extract(epoch from now() - q.tools_since) * 1000, 0)::float8 as since_ms, w.waiting
     from chat_turns q join chat_threads t on t.id = q.thread_id join agents a on a.id = t.agent_id
       join chat_messages m on m.turn_id = q.id and m.task_id = q.task_id and m.role = 'assistant'
       left join lateral (select json_agg(c.call_id) as waiting from chat_calls c
         where c.turn_id = q.id and c.round_id = q.task_id and ${waitsForRoom}) w on true
     where q.thread_id = ? and q.status = 'waiting' and (q.server_calls = 'due' or (q.server_calls = 'open' and w.waiting is not null))`,
    [threadId],
  );
  if (rows.length === 0) return null;
  const turn = dueSchema.parse(rows[0]);
  return { ...turn, calls: turn.calls ?? [] };
}

/**
 * Says what becomes of the calls of an answer, all of it or nothing: each is a row, those that run have their tasks, and the others
 * their results. Of many who do so one does.
 * @returns the tasks that were made; null where it was said before.
 * @throws McpctlError `thread_not_found`, `thread_full`.
 */
async function beginCalls(
  trx: Knex.Transaction,
  { turn, begun, asksClient }: Beginning,
  limits: RegistryLimits,
): Promise<TaskRow[] | null> {
  const { id: turnId, threadId, ownerId, taskId } = turn;
  const thread = await lockThread(trx, { threadId, ownerId });
  const tasks = begun.flatMap(({ becomes }) =>
    becomes !== 'waits' && 'task' in becomes ? [becomes.task] : [],
  );
  const isSaid = await (turn.waiting === null ? sayAll : sayOfWaiting)(trx, { turn, begun, asksClient });
  if (!isSaid) return null;
  const atOnce = begun.flatMap(({ call, becomes }) =>
    becomes === 'waits' || 'task' in becomes ? [] : [{ toolCallId: call.id, content: becomes.content }],
  );
  await keepResults(trx, { turnId, threadId, taskId, results: atOnce, thread, limits });
  await endIfAllHave(trx, turnId);
  await ripen(trx, { turnId, taskId });
  const rows: TaskRow[] = [];
  // One that is large goes alone.
  for (const task of tasks) rows.push(...(await insertTasks(preparedIn(trx), [task])));
  return rows;
}

interface Beginning {
  turn: DueTurn;
  begun: readonly BegunCall[];
  asksClient: boolean;
}

/** Of all calls of an answer. @returns false where it was said before. */
async function sayAll(trx: Knex.Transaction, { turn, begun, asksClient }: Beginning): Promise<boolean> {
  const { id, taskId, toolsOf } = turn;
  const moved = await trx('chatTurns')
    .where({ id, status: 'waiting', taskId, serverCalls: 'due' })
    .update({ serverCalls: 'open', asksClient, toolsSince: trx.raw('coalesce(tools_since, now())') });
  if (moved === 0) return false;
  const rows = begun.map(({ call, position, server, becomes }) => ({
    ...{ turnId: id, roundId: taskId, callId: storableText(call.id), position, server },
    ...{ projectId: toolsOf?.id ?? null, name: storableText(call.name), ...columnsOf(trx, becomes) },
  }));
  if (rows.length > 0) await trx('chatCalls').insert(rows);
  return true;
}

/** Of those that waited for room. @returns false where it was said of one of them meanwhile. */
async function sayOfWaiting(trx: Knex.Transaction, { turn, begun }: Beginning): Promise<boolean> {
  const { id: turnId, taskId: roundId } = turn;
  const waits = await trx('chatTurns')
    .where({ id: turnId, taskId: roundId, status: 'waiting', serverCalls: 'open' })
    .first<{ id: string } | undefined>('id');
  const still = await trx('chatCalls')
    .where({ turnId, roundId, taskId: null, endedAt: null })
    .select<{ callId: string }[]>('callId');
  const ids = new Set(still.map(({ callId }) => callId));
  const moving = begun.filter(({ becomes }) => becomes !== 'waits');
  if (!waits || moving.length === 0 || moving.some(({ call }) => !ids.has(storableText(call.id))))
    return false;
  for (const { call, becomes } of moving)
    await trx('chatCalls')
      .where({ turnId, roundId, callId: storableText(call.id) })
      .update(columnsOf(trx, becomes));
  return true;
}

function columnsOf(trx: Knex.Transaction, becomes: BegunCall['becomes']) {
  if (becomes === 'waits') return {};
  return 'task' in becomes
    ? { taskId: becomes.task.id, poolName: becomes.task.poolKey }
    : { endedAt: trx.fn.now(), code: becomes.code };
}

/** What the server runs of a turn's calls is all there. */
const endIfAllHave = (trx: Knex.Transaction, turnId: string): Knex.QueryBuilder =>
  trx('chatTurns')
    .where({ id: turnId })
    .whereRaw('not exists (select 1 from chat_calls where turn_id = ? and ended_at is null)', [turnId])
    .update({ serverCalls: 'done' });

interface Keeping {
  turnId: string;
  threadId: string;
  taskId: string;
  results: readonly { toolCallId: string; content: string }[];
  thread: Parameters<typeof needRoom>[1]['thread'];
  limits: RegistryLimits;
}

async function keepResults(trx: Knex.Transaction, keeping: Keeping): Promise<void> {
  const { turnId, threadId, taskId, thread, limits } = keeping;
  if (keeping.results.length === 0) return;
  const results = keeping.results.map((result) => ({ parts: null, ...result }));
  const bytes = results.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  await needRoom(trx, { threadId, messages: results.length, bytes, thread, limits });
  await insertResults(trx, { threadId, turnId, taskId, first: thread.nextMessage, results });
  await moveOn(trx, threadId, { messages: results.length });
}

async function endedCalls(db: Knex, threadId: string): Promise<EndedCall[]> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select c.turn_id, q.thread_id, q.owner_id, c.round_id, c.call_id, c.task_id, c.server, c.name as called, u.name as owner_name, a.extras as allowed, p.name as project, p.id as project_id, k.status, k.error_code, k.error_message
     from chat_turns q join chat_calls c on c.turn_id = q.id left join tasks k on k.id = c.task_id
       join chat_threads t on t.id = q.thread_id join agents a on a.id = t.agent_id join users u on u.id = q.owner_id
       left join projects p on p.id = coalesce(c.project_id, a.project_id)
     where q.thread_id = ? and ${isOpen} and c.round_id = q.task_id and ${hasEnded} order by c.position`,
    [threadId],
  );
  return z.array(endedSchema).parse(rows);
}

/**
 * A call's result becomes a message of its turn, once; with the last one the next round may begin.
 * @returns whether it did now. @throws McpctlError `thread_not_found`, `thread_full`.
 */
async function collectCall(
  trx: Knex.Transaction,
  { call, code, content }: { call: EndedCall; code: ErrorCode | null; content: string },
  limits: RegistryLimits,
): Promise<boolean> {
  const { turnId, threadId, ownerId, roundId, callId } = call;
  const thread = await lockThread(trx, { threadId, ownerId });
  const waits = await trx('chatTurns')
    .where({ id: turnId, taskId: roundId, status: 'waiting', serverCalls: 'open' })
    .first<{ id: string } | undefined>('id');
  if (!waits) return false;
  const ended = await trx('chatCalls')
    .where({ turnId, roundId, callId, endedAt: null })
    .update({ endedAt: trx.fn.now(), code });
  if (ended > 0) {
    const results = [{ toolCallId: callId, content }];
    await keepResults(trx, { turnId, threadId, taskId: roundId, results, thread, limits });
  }
  await endIfAllHave(trx, turnId);
  await ripen(trx, { turnId, taskId: roundId });
  return ended > 0;
}

/** Calls that run on though their turns wait for them no more. */
async function strayedCalls(db: Knex, limit: number, turnId: string | null): Promise<StrayedCall[]> {
  await db.raw(
    `update chat_calls c set ended_at = now(), code = 'task_cancelled' from chat_turns q
     where q.id = c.turn_id and q.status <> 'waiting' and ${waitsForRoom}`,
  );
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select c.turn_id, c.round_id, c.call_id, c.task_id, c.pool_name from chat_calls c join chat_turns q on q.id = c.turn_id
     where c.ended_at is null and c.task_id is not null and q.status <> 'waiting'${turnId === null ? '' : ' and c.turn_id = :turnId'} limit :limit`,
    { limit, turnId },
  );
  return z.array(strayedSchema).parse(rows);
}

export interface TurnCalls {
  /** As `threadsWithCalls`. */
  withCalls(limit: number): Promise<string[]>;
  /** The turn of a thread whose calls are to be begun, all, or those that wait for room; null: there is none. */
  dueTurn(threadId: string): Promise<DueTurn | null>;
  /** As `beginCalls`. */
  beginCalls(what: Parameters<typeof beginCalls>[1]): Promise<TaskRow[] | null>;
  /** The turn of a thread with calls of which a step may be to be taken; undefined: there is none. */
  calling(threadId: string): Promise<string | undefined>;
  /** Calls of a thread that have ended, and are no results yet. */
  endedCalls(threadId: string): Promise<EndedCall[]>;
  /** As `collectCall`. */
  collectCall(what: Parameters<typeof collectCall>[1]): Promise<boolean>;
  /** As `strayedCalls`. @param turnId null: of all turns. */
  strayedCalls(limit: number, turnId: string | null): Promise<StrayedCall[]>;
  /** What became of one that strayed. */
  endStrayed(call: StrayedCall, code: string | null): Promise<void>;
  /** Calls of a turn that the server ran, those of each round in the order that the model made them. */
  callsOf(turnId: string): Promise<CallRow[]>;
  /** The turn of a thread that waits for tools that the server alone runs; undefined: none does. */
  waitsForServer(threadId: string): Promise<string | undefined>;
}

/** What the server runs of what an answer calls: docs/decisions/0077-an-agent-calls-its-project-s-tools.md. */
export const createTurnCalls = ({ db, transaction }: Connection, limits: RegistryLimits): TurnCalls => ({
  withCalls: (limit) => threadsWithCalls(db, limit),
  dueTurn: (threadId) => dueTurn(db, threadId),
  beginCalls: (what) => transaction((trx) => beginCalls(trx, what, limits)),
  async calling(threadId) {
    const row = await db('chatTurns')
      .where({ threadId, status: 'waiting' })
      .whereIn('serverCalls', ['due', 'open'])
      .first<{ id: string } | undefined>('id');
    return row?.id;
  },
  endedCalls: (threadId) => endedCalls(db, threadId),
  collectCall: (what) => transaction((trx) => collectCall(trx, what, limits), what.content.length),
  strayedCalls: (limit, turnId) => strayedCalls(db, limit, turnId),
  async endStrayed({ turnId, roundId, callId }, code) {
    await db('chatCalls')
      .where({ turnId, roundId, callId, endedAt: null })
      .update({ endedAt: db.fn.now(), code: code === null ? null : storableWord(code) });
  },
  async callsOf(turnId) {
    const { rows } = await db.raw<{ rows: { call: unknown }[] }>(
      `select ${callJson} as call from chat_calls c where turn_id = ? order by created_at, position`,
      [turnId],
    );
    return rows.map(({ call }) => callSchema.parse(call));
  },
  async waitsForServer(threadId) {
    const row = await db('chatTurns')
      .where({ threadId, status: 'waiting', asksClient: false })
      .whereNotNull('serverCalls')
      .first<{ id: string } | undefined>('id');
    return row?.id;
  },
});
