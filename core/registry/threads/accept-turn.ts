import type { Knex } from 'knex';
import { v7 } from 'uuid';
import type { Made } from '../../agent/made.ts';
import type { OnBusy } from '../../agent/thread.ts';
import { McpctlError } from '../../errors.ts';
import { storableJsonText, storableText } from '../../text/storable.ts';
import type { TaskRow } from '../../task/task.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { preparedIn } from '../database/prepared.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import { endUnasked } from './end-unasked.ts';
import {
  lockThread,
  moveOn,
  needLast,
  needPassingRoom,
  needRoom,
  openTurns,
  startThread,
  type LockedThread,
  type StartedThread,
} from './locked-thread.ts';
import { turnColumns, turnRowSchema, type TurnRow } from './rows.ts';

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
  /** In place of the agent's system prompt. */
  system?: string | undefined;
  /** Nothing of the thread may be left out. */
  isWhole?: boolean | undefined;
  /** The first turn that its request tells of. */
  from: number;
  /** How many turns before that are left out, and the tokens that they would not have had room in. */
  leftOut: number;
  contextLength: number | null;
  /** Tokens that its request should come to; null: nothing was measured yet. */
  expected: number | null;
}

/** Of what a turn's request was made. */
export interface TurnMade {
  composition: TurnComposition;
  made: Made;
  /** Where its backend finds it too long, it can be made of less. */
  mayShrink: boolean;
  /** The project of whose servers' tools the server may run what its answer calls; null: of none. */
  toolsFrom: string | null;
}

/** What its columns say of how a turn that runs was made. */
export const compositionColumns = ({ composition, mayShrink, toolsFrom }: TurnMade) => ({
  composition: JSON.stringify(composition),
  shrink: mayShrink ? 'may' : null,
  serverCalls: toolsFrom === null ? null : 'may',
  toolsProjectId: toolsFrom,
  asksClient: false,
});

/** A turn about to be accepted, with the task that answers it unless it is to wait. */
export interface NewTurn {
  id: string;
  threadId: string;
  ownerId: string;
  tokenId: string;
  /** The thread is made with it. */
  starts: StartedThread | null;
  /** The revision that its request was composed from; null: what was being said then is not in it. */
  seen: number | null;
  onBusy: Exclude<OnBusy, 'interrupt'>;
  key: string | null;
  requestHash: string;
  /** The call, without what the thread says before it: it is composed from when its time comes. */
  request: string;
  streaming: boolean;
  messages: readonly NewMessage[];
  /** How its request was made. */
  made: TurnMade;
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
  if (turn.starts?.passing) await needPassingRoom(trx, turn, limits);
  const bytes = bytesOf(turn);
  const thread = turn.starts
    ? await startThread(trx, turn, { ...turn.starts, bytes, limits })
    : await lockThread(trx, turn);
  const there = turn.starts ? [] : await openTurns(trx, turn.threadId);
  const waiting = there.find(
    ({ status, isReady, isServers }) => status === 'waiting' && !isServers && (turn.abandons || !isReady),
  );
  if (waiting && !turn.abandons) return { kind: 'pending', n: waiting.n, taskId: waiting.taskId };
  const open = there.filter((each) => each !== waiting);
  const [first] = open;
  if (!first && thread.revision !== turn.seen) return { kind: 'moved' };
  if (first && turn.onBusy === 'reject') return { kind: 'busy', n: first.n, taskId: first.taskId };
  if (turn.supersedes) await supersede(trx, turn.supersedes, thread);
  if (open.filter(({ status }) => status === 'queued').length >= limits.maxQueuedTurns)
    throw new McpctlError('turn_queue_full', undefined, { retryAfterS: 5 });
  const { threadId, messages } = turn;
  const ownerId = turn.starts ? undefined : turn.ownerId;
  const entering = { threadId, ownerId, messages: messages.length, bytes, thread, limits };
  const weighed = await needRoom(trx, entering);
  // Later turns are told of it, in neutral words for what did not come.
  if (waiting) await endUnasked(trx, { id: waiting.id, status: 'waiting' }, { status: 'completed' });
  const status = first ? 'queued' : 'running';
  const place = { id: turn.id, threadId: turn.threadId, n: thread.nextTurn };
  await insertTurn(trx, turn, { n: thread.nextTurn, status });
  await insertMessages(trx, turn, thread.nextMessage);
  const answerIndex = thread.nextMessage + turn.messages.length;
  const isRunning = status === 'running';
  if (isRunning)
    await insertPlaceholder(trx, { ...place, taskId: turn.task.id, answerIndex, made: turn.made.made });
  await moveOn(trx, turn.threadId, {
    ...{ turns: 1, messages: turn.messages.length + (isRunning ? 1 : 0) },
    // Nothing is being said: what was said has its final weight, and so has what it brings.
    ...(isRunning && { weighed: { to: answerIndex, bytes: weighed + bytes }, cut: turn.made.composition }),
  });
  if (!isRunning) return { kind: 'queued', place: { ...place, answerIndex: null } };
  const [row] = await insertTasks(preparedIn(trx), [turn.task]);
  if (!row) throw new McpctlError('internal');
  return { kind: 'running', place: { ...place, answerIndex }, row };
}

/** What it adds to its thread. */
const bytesOf = ({ request, made, starts }: NewTurn): number =>
  // A call is as long as a call may be: nothing is told of it later, and it counts with its user's other calls.
  starts?.passing !== undefined
    ? 0
    : Buffer.byteLength(request) + Buffer.byteLength(made.composition.system ?? '');

/** @throws McpctlError `invalid_request` where others were said behind it. */
async function supersede(
  trx: Knex.Transaction,
  { id, n }: { id: string; n: number },
  thread: LockedThread,
): Promise<void> {
  needLast(n, thread);
  await trx('chatTurns').where({ id }).update({ inContext: false });
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

async function insertTurn(
  trx: Knex.Transaction,
  turn: NewTurn,
  { n, status }: { n: number; status: 'queued' | 'running' },
): Promise<void> {
  const { id, threadId, ownerId, tokenId, requestHash, request, streaming, task, made } = turn;
  const { pin, personality, system, isWhole } = made.composition;
  const isRunning = status === 'running';
  await trx('chatTurns').insert({
    ...{ id, threadId, ownerId, tokenId, n, status, requestHash, request: storableText(request), streaming },
    clientKey: turn.key,
    supersedes: turn.supersedes?.id ?? null,
    waitsForTools: turn.hasTools || made.toolsFrom !== null,
    ...(isRunning
      ? compositionColumns(made)
      : { composition: JSON.stringify({ pin, personality, system, isWhole }) }),
    taskId: isRunning ? task.id : null,
    poolName: isRunning ? task.poolKey : null,
  });
}

/** What a message holds, as its row does. */
export const contentColumns = ({ content, parts }: Pick<NewMessage, 'content' | 'parts'>) => ({
  content: storableText(content),
  parts: parts === null ? null : storableJsonText(JSON.parse(parts)),
});

async function insertMessages(trx: Knex.Transaction, turn: NewTurn, firstIndex: number): Promise<void> {
  const { id: turnId, threadId, messages } = turn;
  const rows = messages.map(({ role, content, parts, toolCallId }, at) => ({
    ...{ id: v7(), threadId, turnId, role, toolCallId },
    turnIndex: firstIndex + at,
    status: 'complete',
    ...contentColumns({ content, parts }),
    // What was sent is kept once more, as it was: the first message weighs for all.
    bytes: at === 0 ? bytesOf(turn) : 0,
  }));
  if (rows.length > 0) await trx('chatMessages').insert(rows);
}

/** The place that the end of the task fills (migration 0026). */
export async function insertPlaceholder(
  trx: Knex.Transaction,
  {
    id: turnId,
    threadId,
    taskId,
    answerIndex,
    made,
  }: Pick<TurnPlace, 'id' | 'threadId'> & { taskId: string; answerIndex: number; made: Made },
): Promise<void> {
  const place = { id: v7(), threadId, turnId, taskId, turnIndex: answerIndex, made: JSON.stringify(made) };
  await trx('chatMessages').insert({ ...place, role: 'assistant', status: 'pending' });
}
