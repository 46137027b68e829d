import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { needRoomForThread, needWeight, weightColumns, weightsSql, type Weights } from './keeping/weights.ts';
import { unended, type TurnRow } from './rows.ts';

/** A thread whose row is held: whoever holds it numbers what is said there next. */
export interface LockedThread {
  nextTurn: number;
  nextMessage: number;
  revision: number;
  /** All messages before that one come to so many bytes. */
  weighedTo: number;
  weighedBytes: number;
}

/** A thread that is made. */
export interface StartedThread {
  agentId: string;
  title: string;
  /** It is of one call, and nobody sees it. */
  passing?: Passing | undefined;
}

interface Passing {
  /** The hash of the conversation that came with it. */
  conversation: string;
  /** Nothing of it is to be kept: what nobody has come for goes soon, wherever its edge is by then. */
  isBrief: boolean;
  /** Its caller may come again under a key: then the thread stays, so that nothing is run once more, without what was said. */
  isKeyed: boolean;
}

/** So long a call may be repeated under its key, and tasks of turns keep their requests. */
const PASSING_FOR = `interval '24 hours'`;
export const BRIEFLY = `interval '10 minutes'`;

/** @param bytes of what it begins with. @throws McpctlError `quota_exceeded`. */
export async function startThread(
  trx: Knex.Transaction,
  { threadId: id, ownerId }: { threadId: string; ownerId: string },
  { agentId, title, passing, bytes, limits }: StartedThread & { bytes: number; limits: RegistryLimits },
): Promise<LockedThread> {
  const begun = { nextTurn: 1, nextMessage: 0, revision: 1, weighedTo: 0, weighedBytes: 0 };
  if (passing !== undefined) {
    const { isBrief, isKeyed } = passing;
    const expiresAt = trx.raw(`now() + ${isBrief && !isKeyed ? BRIEFLY : PASSING_FOR}`);
    await trx('chatThreads').insert({
      ...{ id, agentId, ownerId, title, isPassing: true, isBrief: isBrief && isKeyed, expiresAt },
      conversations: [passing.conversation],
    });
    return begun;
  }
  await needRoomForThread(trx, { ownerId, bytes }, limits);
  await trx('chatThreads').insert({ id, agentId, ownerId, title });
  return begun;
}

/** @param ifMatch the revision that its owner has read; null: whichever it is. @throws McpctlError `thread_not_found`, `stale_revision`. */
export async function lockThread(
  trx: Knex.Transaction,
  { threadId: id, ownerId, ifMatch = null }: { threadId: string; ownerId: string; ifMatch?: number | null },
): Promise<LockedThread> {
  const columns = ['nextTurn', 'nextMessage', 'revision', 'weighedTo', trx.raw('weighed_bytes::float8')];
  const row = await trx('chatThreads')
    .where({ id, ownerId })
    .forUpdate()
    .first<LockedThread | undefined>(...columns);
  if (!row) throw new McpctlError('thread_not_found');
  if (ifMatch !== null && row.revision !== ifMatch) throw new McpctlError('stale_revision');
  return row;
}

/** A turn that has not ended. */
export interface OpenTurn extends Pick<TurnRow, 'id' | 'n' | 'status' | 'taskId'> {
  /** It waits for no result of a tool that its client has to bring: it goes on with a look to come. */
  isReady: boolean;
  /** What it has called the server runs, and the client nothing of it. */
  isServers: boolean;
}

export async function openTurns(trx: Knex, threadId: string): Promise<OpenTurn[]> {
  const { rows } = await trx.raw<{ rows: OpenTurn[] }>(
    `select id, n, status, task_id, status = 'waiting' and (tool_deadline is null or is_servers) as is_ready, is_servers
     from (${unended(':threadId', "id, n, status, task_id, tool_deadline, coalesce(server_calls <> 'may' and not asks_client, false) as is_servers")}) u
     order by status = 'queued', n`,
    { threadId },
  );
  return rows;
}

/** Messages that are to be entered into a thread whose row is held. */
interface Entering {
  threadId: string;
  /** Whose room for all threads together is asked for, too; missing: it is an open turn's, which was let in. */
  ownerId?: string | undefined;
  messages: number;
  bytes: number;
  thread: Pick<LockedThread, 'nextMessage' | 'weighedTo' | 'weighedBytes'>;
  limits: RegistryLimits;
}

/** With the place of the answer to them. @returns what is there already, in bytes. @throws McpctlError `thread_full`, `quota_exceeded`. */
export async function needRoom(
  trx: Knex.Transaction,
  { threadId, ownerId, messages, bytes: more, thread, limits }: Entering,
): Promise<number> {
  const { maxThreadMessages, maxThreadBytes } = limits;
  if (thread.nextMessage + messages + 1 > maxThreadMessages)
    throw new McpctlError(
      'thread_full',
      `The thread has ${thread.nextMessage} messages, and at most ${maxThreadMessages} (MCPCTL_MAX_THREAD_MESSAGES). Begin another, or delete this one.`,
    );
  const recent = `(select coalesce(sum(bytes), 0)::float8 from chat_messages where thread_id = :threadId and turn_index >= :weighedTo) as recent`;
  const { rows } = await trx.raw<{ rows: (Weights & { recent: number })[] }>(
    ownerId === undefined ? `select ${recent}` : `select ${recent}, ${weightColumns} from ${weightsSql}`,
    { threadId, weighedTo: thread.weighedTo, ...(ownerId !== undefined && { ownerId }) },
  );
  const [weights] = rows;
  const there = thread.weighedBytes + (weights?.recent ?? 0);
  if (there + more > maxThreadBytes)
    throw new McpctlError(
      'thread_full',
      `With this message the thread would hold ${there + more} bytes, and at most ${maxThreadBytes} (MCPCTL_MAX_THREAD_BYTES). Begin another, or delete this one.`,
    );
  if (ownerId !== undefined && weights)
    needWeight(weights, { threads: 0, bytes: weights.recent + more }, limits);
  return there;
}

/**
 * What waits for results of tools that its client has is held for a day, and is no task: of one user it comes to no more than their tasks.
 * @throws McpctlError `quota_exceeded`.
 */
export async function needPassingRoom(
  trx: Knex.Transaction,
  { ownerId, request }: { ownerId: string; request: string },
  { maxUserQueuedBytes: most }: Pick<RegistryLimits, 'maxUserQueuedBytes'>,
): Promise<void> {
  const { rows } = await trx.raw<{ rows: { bytes: number }[] }>(
    `select coalesce(sum(octet_length(q.request)), 0)::float8 as bytes from chat_turns q
       join chat_threads t on t.id = q.thread_id and t.is_passing where q.owner_id = :ownerId and q.status = 'waiting'`,
    { ownerId },
  );
  const bytes = rows[0]?.bytes ?? 0;
  if (bytes > 0 && bytes + Buffer.byteLength(request) > most)
    throw new McpctlError(
      'quota_exceeded',
      `Your calls that wait for results of your client's tools hold ${bytes} bytes; with this one they would be over ${most}, the most for one user (MCPCTL_MAX_USER_QUEUED_BYTES). Bring their results; what nobody brings ends after a day.`,
    );
}

/** @throws McpctlError `invalid_request` where others were said behind it. */
export function needLast(n: number, { nextTurn }: Pick<LockedThread, 'nextTurn'>): void {
  if (n === nextTurn - 1) return;
  throw new McpctlError(
    'invalid_request',
    `Turn ${n} is not the last any more: fork the thread at turn ${n - 1}.`,
  );
}

/** How a thread moves on with what is said in it. */
interface Moving {
  turns?: number;
  messages: number;
  /** All messages before that one have ended, and come to so many bytes. */
  weighed?: { to: number; bytes: number };
  /** Where the request that was composed of it begins. */
  cut?: { from: number; leftOut: number };
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
