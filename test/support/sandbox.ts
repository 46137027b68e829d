import { randomBytes } from 'node:crypto';
import { McpctlError } from '../../core/errors.ts';
import { createLog } from '../../core/runtime/log.ts';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { keptApart } from './apart.ts';
import { dropRedisUsers, loseRedis } from './lose-redis.ts';
import { giveSchema, takeSchema } from './schemas.ts';

/** A Postgres schema and a Redis namespace of one's own, gone again after `close()`. */
export interface Sandbox {
  databaseUrl: string;
  redisUrl: string;
  schema: string;
  namespace: string;
  connection: Connection;
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
  /** How long one statement of the sandbox's own `connection` may take; as in the product unless told. */
  queryTimeoutMs?: number;
  /** Where its own `connection` goes, e.g. through a wire (wire.ts). */
  databaseUrl?: string;
  /** Default: the schema is made. Without it there is none: a release step of the test makes it. */
  migrates?: boolean;
  /**
   * Whether a schema will do that was used before and emptied (schemas.ts): where all that writes to it ends before it is
   * closed. No process may be killed at it, whose last words Postgres has yet to read.
   */
  again?: boolean;
}

/** A fresh schema with every migration, made from the run's template (template.ts) where there is one. */
export async function sandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const id = randomBytes(6).toString('hex');
  const databaseUrl = need('DATABASE_URL');
  const redisUrl = need('REDIS_URL');
  const namespace = `t_${id}`;
  const { poolSize = 5, queryTimeoutMs, migrates = true, again = false } = options;
  const schema = migrates ? await takeSchema(databaseUrl, { name: namespace, again }) : namespace;
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const { need: needApart, ...connection } = keptApart(
    connect({
      databaseUrl: options.databaseUrl ?? databaseUrl,
      ...{ schema, poolSize, log },
      ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
    }),
  );
  let isOpen = true;
  return {
    databaseUrl,
    redisUrl,
    schema,
    namespace,
    connection,
    async close() {
      await connection.close();
      if (isOpen) await giveSchema(databaseUrl, schema);
      isOpen = false;
      await loseRedis({ redisUrl, namespace });
      await dropRedisUsers({ redisUrl, namespace });
      needApart();
    },
  };
}
