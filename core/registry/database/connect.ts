import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import knexModule, { type Knex } from 'knex';
import { Pool } from 'pg';
import { McpctlError, messageOf } from '../../errors.ts';
import type { Log } from '../../runtime/log.ts';
import { storableInstant, storableJson, storableText } from '../../text/storable.ts';
import { camelResponse, toSnake } from './columns.ts';
import { mayPass, troubleSentence, type Trouble } from '../../trouble.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { asRegistryError, isLost, isReadTimeout, postgresTroubleOf, sqlFaultOf } from './faults.ts';
import { applicationName } from './forms.ts';
import { cut, endTime, giveTime, IDLE_MS, lockMsOf, type Held } from './give-time.ts';
import { preparedOver, type RunPrepared } from './prepared.ts';
import { tlsOf, type DatabaseTls } from './tls.ts';

export interface ConnectOptions extends DatabaseTls {
  schema: string;
  poolSize: number;
  log: Log;
  /** How long one statement may take; 2 s unless told. Only migrations need longer. */
  queryTimeoutMs?: number;
}

/** The one way to Postgres. Every error that leaves it is an McpctlError (see faults.ts) or a bug. */
export interface Connection {
  /** Awaiting a builder of this runs it; its errors are mapped. */
  db: Knex;
  schema: string;
  /** For the few statements that each call costs; its errors are mapped, too. */
  prepared: RunPrepared;
  /**
   * Commits what `work` resolves with, rolls back when it rejects. A deadlock, a serialization failure or a
   * lost race for a unique key makes the whole of `work` run again, up to five times: it must touch nothing
   * but `trx`. Inside, errors are pg's own; `sqlFaultOf` reads both.
   * @param bytes what it carries, either way: its statements may take longer for it (time-of-bytes.ts).
   */
  transaction: <T>(work: (trx: Knex.Transaction) => Promise<T>, bytes?: number) => Promise<T>;
  /** What a write met in the last seconds: full, read-only, refused or too old; null where nothing of it. */
  trouble: () => Trouble | null;
  /** One connection more, apart from the pool, for what holds it long. Whoever opens it closes it. */
  apart: () => Connection;
  /**
   * Waits for what runs, for some seconds, then closes every connection; bears being called twice. Transactions that come
   * later are `unavailable`.
   */
  close: () => Promise<void>;
}

const CONNECT_MS = 2_000;
const QUERY_MS = 2_000;
/** How often a transaction is tried. Where somebody holds what it is about it waits for a second time, and no more. */
const repeatable: ReadonlyMap<string, number> = new Map([
  ['23505', 5], // unique violation
  ['40001', 5], // serialization failure
  ['40P01', 5], // deadlock
  ['55P03', 2], // lock not available
]);

/**
 * All limits are needed: `query_timeout` frees us when Postgres does not answer at all, `statement_timeout`
 * frees Postgres (locks!) when we have stopped waiting. The latter is a little shorter, so that a live server
 * answers first. `lock_timeout` is a part of it (`lockMsOf`): so a statement that waited for what somebody else holds is told
 * from one that took too long by itself, and who was in it with others can be let go of in time.
 */
function openPool(options: ConnectOptions): Pool {
  const { poolSize, schema, log, queryTimeoutMs = QUERY_MS } = options;
  const statementMs = Math.max(1, queryTimeoutMs - 100);
  const pool = new Pool({
    ...tlsOf(options),
    max: poolSize,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    application_name: applicationName,
    // oxlint-disable-next-line typescript/no-misused-promises -- pg awaits it; its types say void
    onConnect: async (client) => {
      await client.query(
        `set search_path to "${schema}"; set statement_timeout to ${statementMs}; ` +
          `set lock_timeout to ${lockMsOf(statementMs)}; ` +
          `set idle_in_transaction_session_timeout to ${IDLE_MS}; set time zone 'UTC'`,
      );
    },
  });
  // An idle connection that Postgres closed; without a listener the process would end.
  pool.on('error', (thrown) => log.debug({ err: messageOf(thrown) }, 'a Postgres connection was lost'));
  // The same for one in use: its query already carries the error.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('release', (_err: unknown, client: Held) => endTime(client, queryTimeoutMs));
  return pool;
}

/**
 * A connection that failed is not used again: pg notices its end only later, and hands it out meanwhile. One
 * whose answer never came is cut, so that the ROLLBACK after it does not wait once more; the idle ones with it,
 * as a path that has lost one has lost them all, and each would cost a caller the wait.
 */
function dropFailed(db: Knex, pool: Pool): { idle: ReadonlySet<Held> } {
  const clients = new Set<Held>();
  const idle = new Set<Held>();
  pool.on('acquire', (client: Held) => {
    idle.delete(client);
    clients.add(client);
  });
  pool.on('release', (_err: unknown, client: Held) => {
    clients.delete(client);
    idle.add(client);
  });
  pool.on('remove', (client: Held) => idle.delete(client));
  db.on('query-error', (thrown: unknown, query: { __knexUid?: string }) => {
    if (!isLost(thrown)) return;
    for (const client of clients) {
      if (client.__knexUid !== query.__knexUid) continue;
      client.__knex__disposed = thrown;
      if (isReadTimeout(thrown)) [client, ...idle].forEach((one) => cut(one));
    }
  });
  return { idle };
}

/** How long a refused write counts beside reads that succeed: a full disk still answers those. */
const REFUSED_FOR_MS = 5_000;

interface TroubleWatch {
  failed(thrown: unknown): void;
  answered(): void;
  now: () => Trouble | null;
}

/** Says once what is wrong with Postgres, and why, and once that it is well again. */
function watchTrouble(log: Log): TroubleWatch {
  let last: { trouble: Trouble; at: number } | null = null;
  const lasts = (): boolean =>
    last !== null &&
    last.trouble !== 'away' &&
    last.trouble !== 'not now' &&
    performance.now() - last.at < REFUSED_FOR_MS;
  return {
    failed(thrown) {
      const trouble = postgresTroubleOf(thrown);
      if (trouble === undefined || !mayPass(trouble)) return;
      // knex puts the statement before the reason.
      const why = messageOf(thrown).split(' - ').at(-1);
      const sentence =
        trouble === 'away' ? 'Postgres is away, or too slow' : troubleSentence('Postgres', trouble);
      if (last?.trouble !== trouble) log.warn({ why }, sentence);
      last = { trouble, at: performance.now() };
    },
    answered() {
      if (last === null || lasts()) return;
      log.info('Postgres is back');
      last = null;
    },
    now: () => (lasts() ? (last?.trouble ?? null) : null),
  };
}

/** Awaited builders go through `client.runner`: the one place where their errors can be mapped. */
function mapErrors(db: Knex, watch: TroubleWatch): void {
  interface Runner {
    run(): Promise<unknown>;
  }
  const client = db.client as { runner(builder: unknown): Runner };
  const original = client.runner.bind(client);
  client.runner = (builder) => {
    const runner = original(builder);
    const run = runner.run.bind(runner);
    runner.run = () =>
      run().then(
        (result) => {
          watch.answered();
          return result;
        },
        (thrown: unknown) => {
          watch.failed(thrown);
          throw asRegistryError(thrown) as Error;
        },
      );
    return runner;
  };
}

/** Whatever somebody wrote, a text among the values of a statement never makes Postgres refuse the whole of it. */
function storableBinding(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return value instanceof Date ? storableInstant(value) : storableJson(value);
}

function storeOnlyStorable(db: Knex): void {
  const client = db.client as { prepBindings(bindings: unknown): unknown };
  client.prepBindings = (bindings) => (Array.isArray(bindings) ? bindings.map(storableBinding) : bindings);
}

/** What runs at the close may take so long; then it is broken off. */
const CLOSE_MS = 5_000;

/** A transaction that is under way when knex is destroyed never gives its connection back, and the pool would wait for it. */
async function untilIdle(pool: Pool): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), CLOSE_MS);
  const isBusy = (): boolean => pool.waitingCount > 0 || pool.totalCount > pool.idleCount;
  try {
    // A connection is idle only after its 'release' was told.
    while (isBusy()) await once(pool, 'release', { signal: late.signal }).then(() => nextTurn());
  } catch (thrown) {
    if (!late.signal.aborted) throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** Connects lazily: nothing is asked of Postgres before the first query. */
export function connect(options: ConnectOptions): Connection {
  const pool = openPool(options);
  const quiet = (message: unknown): void => options.log.debug({ message: messageOf(message) }, 'knex');
  const db = knexModule.knex({
    client: 'pg',
    connectionPool: pool,
    compileSqlOnError: false,
    wrapIdentifier: (name, quote) => (name === '*' ? name : quote(toSnake(name))),
    postProcessResponse: camelResponse,
    log: { warn: quiet, error: quiet, deprecate: quiet, debug: quiet },
  });
  const { idle } = dropFailed(db, pool);
  const watch = watchTrouble(options.log);
  mapErrors(db, watch);
  storeOnlyStorable(db);
  let closed: Promise<void> | undefined;
  return {
    db,
    schema: options.schema,
    prepared: preparedOver({ pool, watch, idle: () => idle }),
    trouble: watch.now,
    apart: () => connect({ ...options, poolSize: 1 }),
    async transaction(work, bytes = 0) {
      if (closed) throw new McpctlError('unavailable');
      const usualMs = options.queryTimeoutMs ?? QUERY_MS;
      for (let tried = 1; ; tried++) {
        try {
          return await db.transaction(async (trx) => {
            if (isLarge(bytes)) await giveTime(trx, { db, bytes, usualMs });
            return await work(trx);
          });
        } catch (thrown) {
          const state = sqlFaultOf(thrown)?.sqlState ?? '';
          if (tried === (repeatable.get(state) ?? 1)) {
            watch.failed(thrown);
            throw asRegistryError(thrown) as Error;
          }
        }
      }
    },
    close() {
      closed ??= untilIdle(pool)
        .then(() => db.destroy())
        .then(() => pool.end());
      return closed;
    },
  };
}
