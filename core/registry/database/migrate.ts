import { McpctlError } from '../../errors.ts';
import { pause } from '../../runtime/clock.ts';
import type { Connection } from './connect.ts';
import { sqlFaultOf } from './faults.ts';
import { createLeases } from './leases.ts';
import { migrationNames, migrationSource } from './migration-source.ts';

const LEASE = 'migration';
const LIFE_MS = 4_000;
const RENEW_MS = 1_000;
const WAIT_MS = 60_000;

/** SQLSTATEs of two `create … if not exists` at the same moment: a row, schema, table or its type is there already. */
const raced = new Set(['23505', '42P06', '42P07', '42710']);
/** Each try lets one of them through: more processes than this do not start together. */
const MOST_RACING = 30;

/** The schema and the table that the lease itself lives in. */
async function bootstrap({ db, schema }: Connection): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      // Asked first: to make a schema takes a right on the database, also where there is nothing to make.
      const { rows } = await db.raw<{ rows: unknown[] }>('select 1 from pg_namespace where nspname = ?', [
        schema,
      ]);
      if (rows.length === 0) await db.raw(`create schema if not exists "${schema}"`);
      await db.raw(
        `create table if not exists leases (
           name text primary key, holder text not null, expires_at timestamptz not null)`,
      );
      return;
    } catch (thrown) {
      const state = sqlFaultOf(thrown)?.sqlState ?? '';
      if (state === '42501') throw mayNot(schema);
      if (tried === MOST_RACING || !raced.has(state)) throw thrown;
    }
  }
}

function mayNot(schema: string): McpctlError {
  return new McpctlError(
    'invalid_config',
    `The user of DATABASE_URL may not make tables in the schema "${schema}": as its owner, grant usage and create on ` +
      'it, or name a schema of its own in MCPCTL_PG_SCHEMA.',
  );
}

async function takeLease(connection: Connection, holder: string): Promise<void> {
  const leases = createLeases(connection);
  for (let waited = 0; !(await leases.tryHold(LEASE, holder, LIFE_MS)); waited += 250) {
    if (waited >= WAIT_MS) {
      throw new McpctlError(
        'unavailable',
        'Another process is still migrating; run this again when it ends.',
      );
    }
    await pause(250);
  }
}

/**
 * Brings the schema up to date; does nothing when it is. Any number may call this at once: one works, the
 * others wait for it. Give it a connection with a long `queryTimeoutMs`.
 * @param seed what else a release writes, under the same lease.
 * @returns the names of the migrations that were applied.
 * @throws McpctlError `invalid_config` when the user may not; `unavailable` when another process is at it for more than a minute.
 */
export async function migrate(
  connection: Connection,
  holder: string,
  seed: () => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const { db, schema } = connection;
  await bootstrap(connection);
  await takeLease(connection, holder);
  const leases = createLeases(connection);
  const renewal = setInterval(() => {
    // A renewal that fails leaves the lease to lapse; each migration is a transaction of its own.
    leases.tryHold(LEASE, holder, LIFE_MS).catch(() => undefined);
  }, RENEW_MS);
  try {
    const applied = (await isCurrent(connection)) ? [] : await applyMissing({ db, schema });
    await seed();
    return applied;
  } finally {
    clearInterval(renewal);
    await leases.release(LEASE, holder);
  }
}

async function applyMissing({ db, schema }: Pick<Connection, 'db' | 'schema'>): Promise<string[]> {
  const config = { migrationSource, schemaName: schema };
  // knex's own lock outlives a process that was killed; under our lease nobody else can hold it.
  await db.migrate.forceFreeMigrationsLock(config);
  const [, applied] = (await db.migrate.latest(config)) as [number, string[]];
  return applied;
}

/** Whether every migration that this code knows has been applied. For `/readyz`; changes nothing. */
export async function isCurrent({ db }: Connection): Promise<boolean> {
  // Asked first, because a table that is not there is a fault in the log: before the first migration it is none.
  const { rows } = await db.raw<{ rows: { table: string | null }[] }>(
    `select to_regclass('knex_migrations')::text as table`,
  );
  if (rows[0]?.table == null) return false;
  const applied = await db('knex_migrations').select<{ name: string }[]>('name');
  const names = new Set(applied.map(({ name }) => name));
  return migrationNames.every((name) => names.has(name));
}
