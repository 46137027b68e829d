import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { McpctlError } from '../../core/errors.ts';
import { createLog } from '../../core/runtime/log.ts';
import { connect, type Connection } from '../../core/registry/connect.ts';
import { migrate } from '../../core/registry/migrate.ts';

/** A Postgres schema and a Redis namespace of one's own, gone again after `close()`. */
export interface Sandbox {
  databaseUrl: string;
  redisUrl: string;
  schema: string;
  namespace: string;
  connection: Connection;
  close(): Promise<void>;
}

const MIGRATION_MS = 60_000;

function need(name: string): string {
  const value = process.env[name];
  if (value === undefined)
    throw new McpctlError('invalid_config', `${name} is not set; run the tests with "npm test"`);
  return value;
}

/** Deletes what a namespace left behind, and nothing else. */
async function dropNamespace(redisUrl: string, namespace: string): Promise<void> {
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
  });
  await redis.connect();
  try {
    for (let cursor = '0'; ;) {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${namespace}:*`, 'COUNT', 1000);
      if (keys.length > 0) await redis.del(...keys);
      if (next === '0') break;
      cursor = next;
    }
  } finally {
    redis.disconnect();
  }
}

async function dropSchema(databaseUrl: string, schema: string): Promise<void> {
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const connection = connect({ databaseUrl, schema, poolSize: 1, log, queryTimeoutMs: MIGRATION_MS });
  try {
    await connection.db.raw(`set client_min_messages to warning; drop schema if exists "${schema}" cascade`);
  } finally {
    await connection.close();
  }
}

export interface SandboxOptions {
  /** Connections that the sandbox's own `connection` may hold. */
  poolSize?: number;
  /** Where its own `connection` goes, e.g. through a wire (wire.ts). */
  databaseUrl?: string;
}

/** Migrates a fresh schema. */
export async function sandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const id = randomBytes(6).toString('hex');
  const databaseUrl = need('DATABASE_URL');
  const redisUrl = need('REDIS_URL');
  const schema = `t_${id}`;
  const namespace = `t_${id}`;
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const migrator = connect({ databaseUrl, schema, poolSize: 1, log, queryTimeoutMs: MIGRATION_MS });
  try {
    await migrate(migrator, id);
  } finally {
    await migrator.close();
  }
  const { poolSize = 5 } = options;
  const connection = connect({ databaseUrl: options.databaseUrl ?? databaseUrl, schema, poolSize, log });
  return {
    databaseUrl,
    redisUrl,
    schema,
    namespace,
    connection,
    async close() {
      await connection.close();
      await dropSchema(databaseUrl, schema);
      await dropNamespace(redisUrl, namespace);
    },
  };
}
