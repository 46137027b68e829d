import type { Socket } from 'node:net';
import type { Knex } from 'knex';
import type { PoolClient } from 'pg';
import { mostMs, msFor, unseenMs } from '../../runtime/time-of-bytes.ts';

/** A connection as knex and pg have it. */
export type Held = PoolClient & {
  processID?: number;
  __knexUid?: string;
  __knex__disposed?: unknown;
  connectionParameters?: { query_timeout: number };
  /** False while it waits for an answer. */
  readyForQuery?: boolean;
};

/** What a connection that was given more time is to be told when it is free again. */
const takeBack = new WeakMap<Held, () => void>();

/** Closes it without a word: nobody listens at its other end. */
export function cut(client: Held, why?: Error): void {
  streamOf(client).destroy(why);
}

const streamOf = (client: Held): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

/**
 * How long a statement may wait for what somebody else holds. Longer than the second after which Postgres looks into such a
 * wait (`deadlock_timeout`): then it ends one of two that wait for each other, and sends away a vacuum that is in the way.
 */
export const lockMsOf = (statementMs: number): number => Math.ceil((statementMs * 3) / 4);

/** Of a transaction that waits for us. */
export const IDLE_MS = 15_000;
/** Postgres asks a client that has gone without a word whether it is there: seconds, seconds, times. */
const ASKED = { idle: '15', interval: '5', count: '3' };

/**
 * Lets all statements of a transaction, its commit too, take as long as their bytes move: only silence ends them, for longer
 * than the store has to work on so many, and than the last of them may be under way unseen. What moves at less than any line
 * does is ended by both sides all the same. Taken back by `endTime`, in Postgres at the transaction's end.
 */
export async function giveTime(
  trx: Knex.Transaction,
  { db, bytes, usualMs }: { db: Knex; bytes: number; usualMs: number },
): Promise<void> {
  const client = await (trx.client as { acquireConnection(): Promise<Held> }).acquireConnection();
  const ms = mostMs(bytes);
  await trx.raw(
    `select set_config('statement_timeout', ?, true), set_config('lock_timeout', ?, true), set_config('idle_in_transaction_session_timeout', ?, true),
      set_config('tcp_keepalives_idle', ?, true), set_config('tcp_keepalives_interval', ?, true),
      set_config('tcp_keepalives_count', ?, true)`,
    [String(ms), String(lockMsOf(ms)), String(ms + IDLE_MS), ASKED.idle, ASKED.interval, ASKED.count],
  );
  if (client.connectionParameters) client.connectionParameters.query_timeout = ms;
  const cancel = async (): Promise<void> =>
    void (await db.raw('select pg_cancel_backend(?)', [client.processID ?? 0]));
  watchSilence(client, { ms: usualMs + msFor(bytes) + unseenMs(bytes), usualMs, cancel });
}

/**
 * A Postgres that answers else is told to break the statement off, and says that it did: it has had the time that so many bytes
 * take, both on their way and there. Its own limit cannot say so, as it counts the way as well.
 */
function watchSilence(
  client: Held,
  { ms, usualMs, cancel }: { ms: number; usualMs: number; cancel: () => Promise<void> },
): void {
  const stream = streamOf(client);
  let isCancelled = false;
  const silent = (): void => {
    if (client.readyForQuery !== false) return void stream.setTimeout(ms); // it waits for us
    // pg's own words for it (faults.ts).
    if (isCancelled) return cut(client, new Error('Query read timeout'));
    isCancelled = true;
    stream.setTimeout(usualMs);
    cancel().catch(() => undefined); // it is away, and its connection is cut
  };
  stream.setTimeout(ms).on('timeout', silent);
  takeBack.set(client, () => stream.setTimeout(0).off('timeout', silent));
}

/** For a connection that is free again. */
export function endTime(client: Held, usualMs: number): void {
  if (client.connectionParameters) client.connectionParameters.query_timeout = usualMs;
  takeBack.get(client)?.();
  takeBack.delete(client);
}
