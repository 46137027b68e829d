import { authorities, flag, oneOf } from './kinds.ts';

/** What node-postgres understands; `prefer` is `require` to it, and `require` checks the certificate. */
export const sslModes = ['disable', 'prefer', 'require', 'no-verify', 'verify-ca', 'verify-full'] as const;

/** TLS to Redis and Postgres. Part of the one table in settings.ts. */
export const tlsSettings = {
  redisTlsVerify: {
    env: 'REDIS_TLS_REJECT_UNAUTHORIZED',
    about: '`0` accepts any certificate on `rediss://`, as platforms need that sign their own',
    schema: () => flag(true),
  },
  redisCa: {
    env: 'REDIS_CA',
    about: 'the authorities to trust on `rediss://`: PEM text, or the path of a file with it',
    schema: () => authorities,
  },
  databaseSslMode: {
    env: 'PGSSLMODE',
    about:
      'TLS to Postgres where DATABASE_URL says nothing of it: `disable`, `require`, `verify-ca`, `verify-full`, or ' +
      '`no-verify`, which accepts any certificate',
    schema: () => oneOf(sslModes).optional(),
  },
  databaseCa: {
    env: 'DATABASE_CA',
    about: 'the authorities to trust at Postgres: PEM text, or the path of a file with it; turns TLS on',
    schema: () => authorities,
  },
} as const;
