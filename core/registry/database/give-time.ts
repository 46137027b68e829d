import type { Socket } from 'node:net';
import type { Knex } from 'knex';
import type { PoolClient } from 'pg';
import { mostMs, msFor, unseenMs } from '../../runtime/time-of-bytes.ts';

/** A connection as knex and pg have it. */
export type Held = PoolClient & {
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

/** Postgres has all of what is written before its clock runs; the way of what is read is part of the statement. */
export type Way = 'write' | 'read';

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
  { bytes, way, usualMs }: { bytes: number; way: Way; usualMs: number },
): Promise<void> {
  const client = await (trx.client as { acquireConnection(): Promise<Held> }).acquireConnection();
  const ms = mostMs(bytes);
  const workMs = usualMs + msFor(bytes);
  await trx.raw(
    `select set_config('statement_timeout', ?, true), set_config('idle_in_transaction_session_timeout', ?, true),
      set_config('tcp_keepalives_idle', ?, true), set_config('tcp_keepalives_interval', ?, true),
      set_config('tcp_keepalives_count', ?, true)`,
    [
      String(way === 'read' ? ms : workMs - 100),
      String(ms + IDLE_MS),
      ASKED.idle,
      ASKED.interval,
      ASKED.count,
    ],
  );
  if (client.connectionParameters) client.connectionParameters.query_timeout = ms;
  watchSilence(client, workMs + unseenMs(bytes));
}

function watchSilence(client: Held, ms: number): void {
  const stream = streamOf(client);
  const silent = (): void => {
    // pg's own words for it (faults.ts).
    if (client.readyForQuery === false) cut(client, new Error('Query read timeout'));
    else stream.setTimeout(ms); // it waits for us
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
