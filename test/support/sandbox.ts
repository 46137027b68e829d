import { randomBytes } from 'node:crypto';
import { McpctlError } from '../../core/errors.ts';
import { createLog } from '../../core/runtime/log.ts';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { dropRedisUsers, loseRedis } from './lose-redis.ts';
import { COPIED_SCHEMA, copyTemplate, dropCopy, inDatabase, open } from './template.ts';

/** A Postgres schema and a Redis namespace of one's own, gone again after `close()`. */
export interface Sandbox {
  databaseUrl: string;
  redisUrl: string;
  schema: string;
  namespace: string;
  connection: Connection;
  /** Its database by another way to the same server, e.g. through a wire (wire.ts). */
  at: (databaseUrl: string) => string;
  close(): Promise<void>;
}

function need(name: string): string {
  const value = process.env[name];
  if (value === undefined)
    throw new McpctlError('invalid_config', `${name} is not set; run the tests with "npm test"`);
  return value;
}

export interface SandboxOptions {
  /** Connections that the sandbox's own `connection` may hold. */
  poolSize?: number;
  /** The way that its own `connection` takes to the server, e.g. through a wire (wire.ts). */
  databaseUrl?: string;
  /** Default: the schema is made. Without it there is none: a release step of the test makes it. */
  migrates?: boolean;
}

/** A fresh schema, migrated: in a copy of the run's template (template.ts), or where there is none one of its own in the database of all. */
export async function sandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const id = randomBytes(6).toString('hex');
  const redisUrl = need('REDIS_URL');
  const namespace = `t_${id}`;
  const { poolSize = 5, migrates = true } = options;
  const { databaseUrl, schema, at, drop } = await place(namespace, migrates);
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const connection = connect({ databaseUrl: at(options.databaseUrl ?? databaseUrl), schema, poolSize, log });
  return {
    databaseUrl,
    redisUrl,
    schema,
    namespace,
    connection,
    at,
    async close() {
      await connection.close();
      await drop();
      await loseRedis({ redisUrl, namespace });
      await dropRedisUsers({ redisUrl, namespace });
    },
  };
}

type Place = Pick<Sandbox, 'databaseUrl' | 'schema' | 'at'> & { drop: () => Promise<void> };

async function place(name: string, migrates: boolean): Promise<Place> {
  const server = need('DATABASE_URL');
  const template = process.env['MCPCTL_TEST_TEMPLATE'];
  if (migrates && template) {
    await copyTemplate(server, template, name);
    const at = (url: string): string => inDatabase(url, name);
    return { databaseUrl: at(server), schema: COPIED_SCHEMA, at, drop: () => dropCopy(server, name) };
  }
  if (migrates) await migrated(server, name);
  return { databaseUrl: server, schema: name, at: (url) => url, drop: () => dropSchema(server, name) };
}

async function migrated(databaseUrl: string, schema: string): Promise<void> {
  const migrator = open(databaseUrl, schema);
  try {
    await migrate(migrator, schema);
  } finally {
    await migrator.close();
  }
}

async function dropSchema(databaseUrl: string, schema: string): Promise<void> {
  const connection = open(databaseUrl, schema);
  try {
    await connection.db.raw(`set client_min_messages to warning; drop schema if exists "${schema}" cascade`);
  } finally {
    await connection.close();
  }
}
