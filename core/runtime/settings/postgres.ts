import { count, textLike, urlLike } from './kinds.ts';
import { sslModes } from './tls.ts';

const databaseUrl = urlLike(/^postgres(ql)?$/, 'postgres://user:password@host:5432/database').refine(
  (text) => {
    const mode = URL.canParse(text) ? new URL(text).searchParams.get('sslmode') : null;
    return mode === null || (sslModes as readonly string[]).includes(mode);
  },
  { error: `sslmode must be one of: ${sslModes.join(', ')}` },
);

/** Where Postgres is, and what a process may take of it. Part of the one table in settings.ts. */
export const postgresSettings = {
  databaseUrl: {
    env: 'DATABASE_URL',
    about: 'Postgres ≥ 15, as platforms set it',
    schema: () => databaseUrl,
  },
  optionalDatabaseUrl: {
    env: 'DATABASE_URL',
    about: 'Postgres ≥ 15, as platforms set it',
    schema: () => databaseUrl.optional(),
  },
  schema: {
    env: 'MCPCTL_PG_SCHEMA',
    about: 'the Postgres schema that holds the tables',
    schema: () => textLike(/^[a-z_][a-z0-9_]{0,62}$/, 'use a plain lower-case schema name').default('public'),
  },
  databasePool: {
    env: 'MCPCTL_PG_POOL',
    about: 'Postgres connections a process may hold',
    schema: () => count(10),
  },
} as const;
