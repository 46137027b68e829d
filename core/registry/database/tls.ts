import type { ConnectionOptions } from 'node:tls';
import { readPlainFile } from '../../runtime/files/plain-file.ts';

/** What decides on TLS to Postgres: `sslmode` in the URL, else `PGSSLMODE`, else whether a CA is given. */
export interface DatabaseTls {
  /** As platforms set it. */
  databaseUrl: string;
  /** `PGSSLMODE`. */
  databaseSslMode?: string | undefined;
  /** `DATABASE_CA`, PEM: trusted instead of the public authorities. */
  databaseCa?: string | undefined;
}

/** Parameters of a URL that name files; read here, because pg would replace all that it is told of TLS by its own reading. */
const files = { sslrootcert: 'ca', sslcert: 'cert', sslkey: 'key' } as const;

/**
 * Nothing is accepted that was not verified, unless `no-verify` says so: `require` checks chain and name, as
 * node-postgres has it, and not as libpq. `verify-ca` leaves out the name only where a CA of one's own is given, for
 * any holder of a public certificate would pass.
 * @throws the file system's error, or McpctlError `invalid_config`, for a file of the URL that cannot be read.
 */
export function tlsOf({ databaseUrl, databaseSslMode, databaseCa }: DatabaseTls): {
  connectionString: string;
  ssl: false | ConnectionOptions;
} {
  const url = new URL(databaseUrl);
  const asked = (name: string): string | null => {
    const value = url.searchParams.get(name);
    url.searchParams.delete(name);
    return value;
  };
  const own: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> =
    databaseCa === undefined ? {} : { ca: databaseCa };
  for (const [name, option] of Object.entries(files)) {
    const path = asked(name);
    if (path !== null && path !== 'system') own[option] = readPlainFile(path);
  }
  const flag = asked('ssl');
  const askedMode = asked('sslmode') ?? (flag === null ? undefined : modeOfFlag(flag)) ?? databaseSslMode;
  const mode = askedMode ?? (own.ca === undefined ? 'disable' : 'require');
  const connectionString = url.href;
  switch (mode) {
    case 'disable':
      return { connectionString, ssl: false };
    case 'no-verify':
      return { connectionString, ssl: { ...own, rejectUnauthorized: false } };
    case 'verify-ca':
      return {
        connectionString,
        ssl: own.ca === undefined ? own : { ...own, checkServerIdentity: () => undefined },
      };
    default:
      return { connectionString, ssl: own };
  }
}

/** `?ssl=true`, as older platforms write it. */
function modeOfFlag(flag: string): string {
  if (flag === 'no-verify') return flag;
  return flag === '0' || flag === 'false' ? 'disable' : 'require';
}
