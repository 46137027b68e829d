import type { Knex } from 'knex';
import { McpctlError } from '../../../errors.ts';
import type { RegistryLimits } from '../../names/limits.ts';
import type { Connection } from '../../database/connect.ts';

/** What an owner's threads come to, and those of all. */
export interface Weights {
  threads: number;
  bytes: number;
  allThreads: number;
  allBytes: number;
}

/** SQL: a row of that, of the owner `:ownerId`. */
export const weightsSql = `
  (select count(*)::int as threads, coalesce(sum(weighed_bytes), 0)::float8 as bytes from chat_threads
    where owner_id = :ownerId and not is_passing) own
  left join lateral (select threads as all_threads, bytes::float8 as all_bytes from thread_totals) whole on true`;

export const weightColumns = `own.threads, own.bytes, coalesce(all_threads, 0) as all_threads, coalesce(all_bytes, 0) as all_bytes`;

type Bounds = Pick<
  RegistryLimits,
  'maxUserThreads' | 'maxUserThreadBytes' | 'maxThreads' | 'maxAllThreadBytes'
>;

/** @param more what is to come. @throws McpctlError `quota_exceeded`. */
export function needWeight(
  { threads, bytes, allThreads, allBytes }: Weights,
  more: { threads: number; bytes: number },
  { maxUserThreads, maxUserThreadBytes, maxThreads, maxAllThreadBytes }: Bounds,
): void {
  const refuse = (message: string): never => {
    throw new McpctlError('quota_exceeded', message);
  };
  if (more.threads > 0 && threads + more.threads > maxUserThreads)
    refuse(
      `You have ${threads} threads, and one user may have ${maxUserThreads} (MCPCTL_MAX_USER_THREADS). Delete some: mcpctl get thread.`,
    );
  if (bytes + more.bytes > maxUserThreadBytes)
    refuse(
      `With this your threads would hold ${bytes + more.bytes} bytes, and those of one user at most ${maxUserThreadBytes} (MCPCTL_MAX_USER_THREAD_BYTES). Delete some: mcpctl get thread.`,
    );
  if (more.threads > 0 && allThreads + more.threads > maxThreads)
    refuse(
      `There are ${allThreads} threads here, of all users, and at most ${maxThreads} (MCPCTL_MAX_THREADS). Delete some of yours, go on in one that is there, or ask the operator.`,
    );
  if (allBytes + more.bytes > maxAllThreadBytes)
    refuse(
      `The threads of all users hold ${allBytes} bytes, and at most ${maxAllThreadBytes} (MCPCTL_MAX_ALL_THREAD_BYTES). Delete some of yours, or ask the operator.`,
    );
}

/** Asked before a thread is made. @throws McpctlError `quota_exceeded`. */
export async function needRoomForThread(
  trx: Knex.Transaction,
  { ownerId, bytes }: { ownerId: string; bytes: number },
  bounds: Bounds,
): Promise<void> {
  const { rows } = await trx.raw<{ rows: Weights[] }>(`select ${weightColumns} from ${weightsSql}`, {
    ownerId,
  });
  const [weights] = rows;
  if (weights) needWeight(weights, { threads: 1, bytes }, bounds);
}

/** What is known of how much was said, for the bounds on it: what is not weighed yet is no part of a sum. */
export interface ThreadWeights {
  /** Threads in which nothing is being answered, and something was said or answered since they were weighed; that of longest ago first. */
  unweighed(limit: number): Promise<string[]>;
  /** Weighs them. One in which something is said meanwhile is left to who says it, or to a later look. @returns how many were. */
  weigh(ids: readonly string[]): Promise<number>;
  /** Writes down what all of them come to. */
  weighAll(): Promise<void>;
}

export const createThreadWeights = ({ db, transaction }: Connection): ThreadWeights => ({
  unweighed: (limit) => unweighed(db, limit),
  weigh: (ids) => transaction((trx) => weigh(trx, ids)),
  weighAll: () => weighAll(db),
});

/** SQL: of what an answer that is on its way will weigh nothing is known yet; all else of an open turn weighs what it does. */
const isAnswering = `exists (select 1 from chat_turns where thread_id = t.id and status = 'running')`;

async function unweighed(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `select t.id from chat_threads t where t.weighed_to < t.next_message and not t.is_passing
       and not ${isAnswering} order by t.last_turn_at limit :limit`,
    { limit },
  );
  return rows.map(({ id }) => id);
}

async function weigh(trx: Knex.Transaction, ids: readonly string[]): Promise<number> {
  // Held by a statement of its own: the next one sees all that was said by then.
  const locked = await trx('chatThreads')
    .whereIn('id', [...ids])
    .orderBy('id')
    .forUpdate()
    .skipLocked()
    .select<{ id: string }[]>('id');
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `update chat_threads t set weighed_to = t.next_message, weighed_bytes = t.weighed_bytes + (
         select coalesce(sum(bytes), 0) from chat_messages m where m.thread_id = t.id and m.turn_index >= t.weighed_to)
       where t.id = any(:ids) and not ${isAnswering}`,
    { ids: locked.map(({ id }) => id) },
  );
  return rowCount;
}

async function weighAll(db: Knex): Promise<void> {
  await db.raw(
    `insert into thread_totals (threads, bytes)
       select count(*), coalesce(sum(weighed_bytes), 0) from chat_threads where not is_passing
     on conflict (id) do update set threads = excluded.threads, bytes = excluded.bytes`,
  );
}
