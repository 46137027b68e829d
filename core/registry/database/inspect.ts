import { Client } from 'pg';
import { messageOf, type Fault } from '../../errors.ts';
import type { Inspection } from '../../runtime/settings/config.ts';
import { untrusted, wrongName } from '../../runtime/network/trust.ts';
import { applicationName } from './forms.ts';
import { tlsOf, type DatabaseTls } from './tls.ts';

const WITHIN_MS = 2_000;
const OLDEST = 15;

/**
 * Looks at the Postgres that the environment names before anything is started: what is wrong with it can be told
 * together with all that is wrong elsewhere. What could not be read from the environment is not looked at.
 */
export async function inspectDatabase(settings: {
  [K in keyof DatabaseTls]?: DatabaseTls[K] | undefined;
}): Promise<Inspection> {
  const { databaseUrl } = settings;
  if (databaseUrl === undefined) return { faults: [] };
  let client: Client | undefined;
  let other: Client | undefined;
  const open = (): Client => {
    const opened = new Client({
      ...tlsOf({ ...settings, databaseUrl }),
      connectionTimeoutMillis: WITHIN_MS,
      query_timeout: WITHIN_MS,
      application_name: applicationName,
    });
    opened.on('error', () => undefined); // its query says so already
    return opened;
  };
  try {
    client = open();
    other = open();
    await client.connect();
    const { rows } = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    const major = Math.floor((rows[0]?.version ?? 0) / 10_000);
    const faults =
      major >= OLDEST
        ? []
        : [fault(`Postgres is ${major}; ${OLDEST} or later is needed: upgrade it, or use another one`)];
    if (faults.length === 0 && (await mixesStatements(client, other))) faults.push(fault(MIXES));
    return { faults };
  } catch (thrown) {
    return inspectionOf(thrown);
  } finally {
    // One that could not connect has nothing to end, and says so.
    for (const one of [client, other]) one?.end().catch(() => undefined);
  }
}

const MIXES =
  'it is behind a pooler that hands each transaction another connection and does not know prepared statements: ' +
  'update PgBouncer to 1.21 or newer and set its max_prepared_statements to 200, or set its pool_mode to session';

/**
 * Two connections prepare a statement of one name. Postgres keeps them apart; a pooler in transaction mode that is too old
 * gives both the same server, which says that it has that one already (42P05), or has another's (26000).
 */
async function mixesStatements(one: Client, other: Client): Promise<boolean> {
  await other.connect();
  try {
    for (const client of [one, other, one, other])
      await client.query({ name: 'mcpctl_inspect', text: 'select 1' });
    return false;
  } catch (thrown) {
    const { code } = thrown as { code?: string };
    if (code === '42P05' || code === '26000') return true;
    throw thrown;
  }
}

const fault = (message: string): Fault => ({ path: 'DATABASE_URL', message });

/** A wrong setting is a fault; a Postgres that is not there now may come. */
function inspectionOf(thrown: unknown): Inspection {
  const wrong = wrongSetting(thrown);
  if (wrong !== undefined) return { faults: [fault(wrong)] };
  const away = `Postgres cannot be reached: ${messageOf(thrown)}; start it, or correct the URL`;
  return { faults: [], away: fault(away) };
}

function wrongSetting(thrown: unknown): string | undefined {
  const why = messageOf(thrown);
  const { code = '', syscall } = thrown as NodeJS.ErrnoException;
  if (untrusted.has(code)) {
    return (
      `its certificate is not trusted (${code}): give the authority's certificate in DATABASE_CA; where the platform ` +
      'has none to give, sslmode=no-verify in the URL, or PGSSLMODE=no-verify where the URL has no sslmode, accepts any'
    );
  }
  if (code === wrongName) {
    return (
      `its certificate is for another name (${why}): call it by that name, or set sslmode=verify-ca with the ` +
      "authority's certificate in DATABASE_CA"
    );
  }
  if (/does not support SSL/.test(why))
    return 'it does not speak TLS: set sslmode=disable in the URL, or unset PGSSLMODE and DATABASE_CA';
  if (/no encryption|SSL off|SSL connection is required/i.test(why))
    return 'it wants TLS: set PGSSLMODE=require, or no-verify where its certificate is signed by itself';
  if (code === '28P01' || code === '28000')
    return `it refused the user or password (${code}): correct both in the URL`;
  if (code === '3D000') return 'it has no database of that name: make it, or correct the URL';
  if (syscall === 'open') return `a file that the URL names cannot be read (${why})`;
  return undefined;
}
