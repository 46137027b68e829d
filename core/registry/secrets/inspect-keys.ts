import { Client } from 'pg';
import { z } from 'zod';
import { checkValueOf, type Keyring } from '../../runtime/keyring/keyring.ts';
import { inspectKeyring, type KeyringPlace } from '../../runtime/keyring/open-keyring.ts';
import type { Inspection } from '../../runtime/settings/config.ts';
import { applicationName } from '../database/forms.ts';
import { tlsOf, type DatabaseTls } from '../database/tls.ts';

const WITHIN_MS = 2_000;
const MOST_KIDS = 20;

type Known = { [K in keyof DatabaseTls]?: DatabaseTls[K] | undefined } & {
  [K in keyof KeyringPlace]?: KeyringPlace[K] | undefined;
} & { schema?: string | undefined };

/**
 * Whether the keys that the environment names are those that secrets are kept under, before anything is started: each
 * write under a wrong one would make the loss larger. Where no key is set nothing can be written, and all else runs.
 */
export async function inspectSecretKeys(settings: Known): Promise<Inspection> {
  const { keyring, faults } = inspectKeyring(settings);
  if (faults.length > 0 || keyring === null || settings.databaseUrl === undefined) return { faults };
  const wanted = await kidsWanted(settings, keyring);
  if (wanted.length === 0) return { faults: [] };
  const kids = [...keyring.byKid.keys()].join(', ');
  const message =
    `secrets are kept under key ${wanted.join(', ')}, and this process has only ${kids}. Put that key back behind the first ` +
    'one, from its backup; where it is lost, start without any key, delete those secrets, and make them anew';
  return { faults: [{ path: 'MCPCTL_SECRETS_KEYS_FILE', message }] };
}

const rowsSchema = z.array(z.object({ kid: z.string(), check_value: z.string() }));

/** Of the keys that there are versions under those that are not there, or are others of that id. None where that cannot be asked now. */
async function kidsWanted(settings: Known, { byKid }: Keyring): Promise<string[]> {
  const { databaseUrl = '', schema = 'public' } = settings;
  const client = new Client({
    ...tlsOf({ ...settings, databaseUrl }),
    connectionTimeoutMillis: WITHIN_MS,
    query_timeout: WITHIN_MS,
    application_name: applicationName,
  });
  client.on('error', () => undefined); // its query says so already
  try {
    await client.connect();
    const { rows } = await client.query(
      `select kid, check_value from "${schema}".secret_keys k
       where exists (select 1 from "${schema}".secret_versions v where v.kid = k.kid) order by kid limit ${MOST_KIDS}`,
    );
    return rowsSchema
      .parse(rows)
      .filter((row) => {
        const key = byKid.get(row.kid);
        return !key || checkValueOf(key) !== row.check_value;
      })
      .map(({ kid }) => kid);
  } catch {
    return []; // what is wrong with Postgres is told by who looks at that, and tables may come
  } finally {
    client.end().catch(() => undefined);
  }
}
