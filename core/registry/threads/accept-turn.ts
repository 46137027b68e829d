import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { MOST_QUEUED, type OnBusy } from '../../agent/thread.ts';
import { McpctlError } from '../../errors.ts';
import { storableJsonText, storableText } from '../../text/storable.ts';
import type { TaskRow } from '../../task/task.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import { endUnasked } from './end-unasked.ts';
import { turnColumns, turnRowSchema, unended, type TurnRow } from './rows.ts';

/** A message that a turn brings. */
export interface NewMessage {
  role: 'user' | 'tool';
  content: string;
  /** The content as JSON, where it is a list. */
  parts: string | null;
  toolCallId: string | null;
}

/** Kept with a turn. */
export interface TurnComposition {
  /** The one member that may answer, by name; undefined = any. */
  pin?: string | undefined;
  /** By its name; an empty text = none, undefined = the agent's default. */
  personality?: string | undefined;
  /** The first turn that its request tells of. */
  from: number;
  /** How many turns before that are left out, and the tokens that they would not have had room in. */
  leftOut: number;
  contextLength: number | null;
  /** Tokens that its request should come to; null: nothing was measured yet. */
  expected: number | null;
}

/** A turn about to be accepted, with the task that answers it unless it is to wait. */
export interface NewTurn {
  id: string;
  threadId: string;
  ownerId: string;
  tokenId: string;
  /** The thread is made with it. */
  starts: { agentId: string; title: string } | null;
  /** The revision that its request was composed from; null: what was being said then is not in it. */
  seen: number | null;
  onBusy: Exclude<OnBusy, 'interrupt'>;
  key: string | null;
  requestHash: string;
  /** The call, without what the thread says before it: it is composed from when its time comes. */
  request: string;
  streaming: boolean;
  messages: readonly NewMessage[];
  /** How its request was made, and the one member that may answer, where there is one. */
  composition: TurnComposition;
  task: NewTask;
  /** It called for tools: an answer that calls some leaves it open until their results are there. */
  hasTools: boolean;
  /** A turn that waits for results of tools is ended for it. */
  abandons: boolean;
  /** The last turn, of which later ones are told no more. */
  supersedes?: { id: string; n: number } | undefined;
}

/** Where in its thread a turn stands, and its answer. */
export interface TurnPlace {
  id: string;
  threadId: string;
  n: number;
  /** Of the answer; null while it waits in line. */
  answerIndex: number | null;
}

export type AcceptedTurn =
  | { kind: 'running'; place: TurnPlace; row: TaskRow }
  | { kind: 'queued'; place: TurnPlace }
  /** An equal call made it before, or another under the same key. */
  | { kind: 'known'; turn: TurnRow }
  /** The thread is not what the request was composed from. */
  | { kind: 'moved' }
  /** A turn waits for results of tools. */
  | { kind: 'pending'; n: number; taskId: string | null }
  | { kind: 'busy'; n: number; taskId: string | null };

interface Locked {
  nextTurn: number;
  nextMessage: number;
  revision: number;
  /** All messages before that one come to so many bytes. */
  weighedTo: number;
  weighedBytes: number;
}

/**
 * Accepts a turn, all of it or nothing: turn, messages, the place of the answer, and the task. Whoever accepts one in a thread
 * holds its row, so that turns and messages are numbered without a gap, whatever comes at once and wherever.
 */
export async function acceptTurn(
  trx: Knex.Transaction,
  turn: NewTurn,
  limits: RegistryLimits,
): Promise<AcceptedTurn> {
  const earlier = turn.key === null ? undefined : await turnUnder(trx, turn.ownerId, turn.key);
  if (turn.key !== null && !earlier) await freeKey(trx, turn.ownerId, turn.key);
  if (earlier) return { kind: 'known', turn: earlier };
  const thread = turn.starts
    ? await startThread(trx, turn, { ...turn.starts, most: limits.maxUserThreads })
    : await lockThread(trx, turn);
  const there = turn.starts ? [] : await openTurns(trx, turn.threadId);
  const waiting = there.find(({ status }) => status === 'waiting');
  if (waiting && !turn.abandons) return { kind: 'pending', n: waiting.n, taskId: waiting.taskId };
  const open = there.filter(({ status }) => status !== 'waiting');
  const [first] = open;
  if (!first && thread.revision !== turn.seen) return { kind: 'moved' };
  if (first && turn.onBusy === 'reject') return { kind: 'busy', n: first.n, taskId: first.taskId };
  if (turn.supersedes) await supersede(trx, turn.supersedes, thread);
  if (open.filter(({ status }) => status === 'queued').length >= MOST_QUEUED)
    throw new McpctlError('turn_queue_full', undefined, { retryAfterS: 5 });
  const { threadId, messages } = turn;
  const bytes = Buffer.byteLength(turn.request);
  const weighed = await needRoom(trx, { threadId, messages: messages.length, bytes, thread, limits });
  // Later turns are told of it, in neutral words for what did not come.
  if (waiting) await endUnasked(trx, { id: waiting.id, status: 'waiting' }, { status: 'completed' });
  const status = first ? 'queued' : 'running';
  const place = { id: turn.id, threadId: turn.threadId, n: thread.nextTurn };
  await insertTurn(trx, turn, { n: thread.nextTurn, status });
  await insertMessages(trx, turn, thread.nextMessage);
  const answerIndex = thread.nextMessage + turn.messages.length;
  const isRunning = status === 'running';
  if (isRunning) await insertPlaceholder(trx, { ...place, taskId: turn.task.id, answerIndex });
  await moveOn(trx, turn.threadId, {
    ...{ turns: 1, messages: turn.messages.length + (isRunning ? 1 : 0) },
    // Nothing is being said: what was said has its final weight.
    ...(isRunning && { weighed: { to: thread.nextMessage, bytes: weighed }, cut: turn.composition }),
  });
  if (!isRunning) return { kind: 'queued', place: { ...place, answerIndex: null } };
  const [row] = await insertTasks(trx, [turn.task]);
  if (!row) throw new McpctlError('internal');
  return { kind: 'running', place: { ...place, answerIndex }, row };
}

/** @throws McpctlError `invalid_request` where others were said behind it. */
async function supersede(
  trx: Knex.Transaction,
  { id, n }: { id: string; n: number },
  thread: Locked,
): Promise<void> {
  needLast(n, thread);
  await trx('chatTurns').where({ id }).update({ inContext: false });
}

/** @throws McpctlError `invalid_request` where others were said behind it. */
export function needLast(n: number, { nextTurn }: Pick<Locked, 'nextTurn'>): void {
  if (n === nextTurn - 1) return;
  throw new McpctlError(
    'invalid_request',
    `Turn ${n} is not the last any more: fork the thread at turn ${n - 1}.`,
  );
}

export async function turnUnder(db: Knex, ownerId: string, key: string): Promise<TurnRow | undefined> {
  const row: unknown = await db('chatTurns')
    .where({ ownerId, clientKey: key })
    .whereRaw(`created_at > now() - ${KEY_LIFE}`)
    .first(turnColumns);
  return row === undefined ? undefined : turnRowSchema.parse(row);
}

/** A key is good for a day, as those of tasks are unless set otherwise. */
const KEY_LIFE = `interval '24 hours'`;

/** One that was used long ago means another turn now. */
async function freeKey(trx: Knex.Transaction, ownerId: string, key: string): Promise<void> {
  await trx('chatTurns')
    .where({ ownerId, clientKey: key })
    .whereRaw(`created_at <= now() - ${KEY_LIFE}`)
    .update({ clientKey: null });
}

export async function startThread(
  trx: Knex.Transaction,
  { threadId: id, ownerId }: Pick<NewTurn, 'threadId' | 'ownerId'>,
  { agentId, title, most }: { agentId: string; title: string; most: number },
): Promise<Locked> {
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    `select count(*)::int as count from (select 1 from chat_threads where owner_id = :ownerId limit :most) as own`,
    { ownerId, most },
  );
  if ((rows[0]?.count ?? 0) >= most)
    throw new McpctlError(
      'quota_exceeded',
      `You have ${most} threads, the most that one user may (MCPCTL_MAX_USER_THREADS). Delete some: mcpctl get thread.`,
    );
  await trx('chatThreads').insert({ id, agentId, ownerId, title });
  return { nextTurn: 1, nextMessage: 0, revision: 1, weighedTo: 0, weighedBytes: 0 };
}

/** @throws McpctlError `thread_not_found`. */
export async function lockThread(
  trx: Knex.Transaction,
  { threadId: id, ownerId }: { threadId: string; ownerId: string },
): Promise<Locked> {
  const columns = ['nextTurn', 'nextMessage', 'revision', 'weighedTo', trx.raw('weighed_bytes::float8')];
  const row = await trx('chatThreads')
    .where({ id, ownerId })
    .forUpdate()
    .first<Locked | undefined>(...columns);
  if (!row) throw new McpctlError('thread_not_found');
  return row;
}

export async function openTurns(
  trx: Knex,
  threadId: string,
): Promise<Pick<TurnRow, 'id' | 'n' | 'status' | 'taskId'>[]> {
  const { rows } = await trx.raw<{ rows: Pick<TurnRow, 'id' | 'n' | 'status' | 'taskId'>[] }>(
    `select * from (${unended(':threadId', 'id, n, status, task_id')}) u order by status = 'queued', n`,
    { threadId },
  );
  return rows;
}

/** Messages that are to be entered into a thread whose row is held. */
interface Entering {
  threadId: string;
  messages: number;
  bytes: number;
  thread: Pick<Locked, 'nextMessage' | 'weighedTo' | 'weighedBytes'>;
  limits: RegistryLimits;
}

/** With the place of the answer to them. @returns what is there already, in bytes. @throws McpctlError `thread_full`. */
export async function needRoom(
  trx: Knex.Transaction,
  { threadId, messages, bytes: more, thread, limits }: Entering,
): Promise<number> {
  const { maxThreadMessages, maxThreadBytes } = limits;
  if (thread.nextMessage + messages + 1 > maxThreadMessages)
    throw new McpctlError(
      'thread_full',
      `The thread has ${thread.nextMessage} messages, and at most ${maxThreadMessages} (MCPCTL_MAX_THREAD_MESSAGES). Begin another, or delete this one.`,
    );
  const { rows } = await trx.raw<{ rows: { bytes: number }[] }>(
    'select coalesce(sum(bytes), 0)::float8 as bytes from chat_messages where thread_id = ? and turn_index >= ?',
    [threadId, thread.weighedTo],
  );
  const there = thread.weighedBytes + (rows[0]?.bytes ?? 0);
  if (there + more > maxThreadBytes)
    throw new McpctlError(
      'thread_full',
      `With this message the thread would hold ${there + more} bytes, and at most ${maxThreadBytes} (MCPCTL_MAX_THREAD_BYTES). Begin another, or delete this one.`,
    );
  return there;
}

async function insertTurn(
  trx: Knex.Transaction,
  {
    id,
    threadId,
    ownerId,
    tokenId,
    key,
    requestHash,
    request,
    streaming,
    composition,
    task,
    supersedes,
    hasTools,
  }: NewTurn,
  { n, status }: { n: number; status: 'queued' | 'running' },
): Promise<void> {
  const isRunning = status === 'running';
  await trx('chatTurns').insert({
    ...{ id, threadId, ownerId, tokenId, n, status, requestHash, request: storableText(request), streaming },
    clientKey: key,
    supersedes: supersedes?.id ?? null,
    waitsForTools: hasTools,
    composition: JSON.stringify(
      isRunning ? composition : { pin: composition.pin, personality: composition.personality },
    ),
    taskId: isRunning ? task.id : null,
    poolName: isRunning ? task.poolKey : null,
  });
}

/** What a message holds, as its row does. */
export const contentColumns = ({ content, parts }: Pick<NewMessage, 'content' | 'parts'>) => ({
  content: storableText(content),
  parts: parts === null ? null : storableJsonText(JSON.parse(parts)),
});

async function insertMessages(
  trx: Knex.Transaction,
  { id: turnId, threadId, messages, request }: NewTurn,
  firstIndex: number,
): Promise<void> {
  const rows = messages.map(({ role, content, parts, toolCallId }, at) => ({
    ...{ id: v7(), threadId, turnId, role, toolCallId },
    turnIndex: firstIndex + at,
    status: 'complete',
    ...contentColumns({ content, parts }),
    // What was sent is kept once more, as it was: the first message weighs for all.
    bytes: at === 0 ? Buffer.byteLength(request) : 0,
  }));
  await trx('chatMessages').insert(rows);
}

/** The place that the end of the task fills (migration 0026). */
export async function insertPlaceholder(
  trx: Knex.Transaction,
  {
    id: turnId,
    threadId,
    taskId,
    answerIndex,
  }: Pick<TurnPlace, 'id' | 'threadId'> & { taskId: string; answerIndex: number },
): Promise<void> {
  const place = { id: v7(), threadId, turnId, taskId, turnIndex: answerIndex };
  await trx('chatMessages').insert({ ...place, role: 'assistant', status: 'pending' });
}

/** How a thread moves on with what is said in it. */
interface Moving {
  turns?: number;
  messages: number;
  /** All messages before that one have ended, and come to so many bytes. */
  weighed?: { to: number; bytes: number };
  /** Where the request that was composed of it begins. */
  cut?: Pick<TurnComposition, 'from' | 'leftOut'>;
}

/** What is said in a thread moves its revision on: what was composed of it as it was is composed again. */
export async function moveOn(
  trx: Knex.Transaction,
  id: string,
  { turns = 0, messages, weighed, cut }: Moving,
): Promise<void> {
  await trx('chatThreads')
    .where({ id })
    .update({
      nextTurn: trx.raw('next_turn + ?', [turns]),
      nextMessage: trx.raw('next_message + ?', [messages]),
      revision: trx.raw('revision + 1'),
      lastTurnAt: trx.fn.now(),
      ...(weighed && { weighedTo: weighed.to, weighedBytes: weighed.bytes }),
      ...(cut && { contextFrom: cut.from, leftOut: cut.leftOut }),
    });
}
