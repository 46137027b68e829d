import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { LlmCreate } from '../../core/llm.ts';
import type { Sandbox } from './sandbox.ts';
import { startProcess, type TestProcess } from './process.ts';
import { programOf } from './program.ts';
import type { System } from './system.ts';

/** A hosted worker of a system; whoever starts one ends it. */
export function startHosted(t: System, env: Record<string, string> = {}): TestProcess {
  const { databaseUrl, redisUrl, namespace, schema } = t.sandbox;
  return startProcess(programOf('worker'), {
    args: ['run'],
    env: {
      WORKER_SOURCE: 'registry',
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      MCPCTL_REDIS_NAMESPACE: namespace,
      MCPCTL_PG_SCHEMA: schema,
      MCPCTL_HOSTED_ALLOW: '127.0.0.0/8',
      ...env,
    },
  });
}

/** A role of Postgres that may read what a hosted worker reads: made as an operator does, granted by `release`. */
export async function hostedRole({
  sandbox: { databaseUrl, schema, connection },
}: System): Promise<{ databaseUrl: string; exited: number | null; drop(): Promise<void> }> {
  const name = `hosted_${schema}`;
  const url = new URL(databaseUrl);
  [url.username, url.password] = [name, randomBytes(12).toString('hex')];
  await connection.db.raw(`create role ${name} login password '${url.password}'`);
  // Whatever it had before is taken.
  await connection.db.raw(`grant select on all tables in schema "${schema}" to ${name}`);
  const release = startProcess(programOf('scheduler'), {
    args: ['release'],
    env: { DATABASE_URL: databaseUrl, MCPCTL_PG_SCHEMA: schema, MCPCTL_HOSTED_ROLE: name },
  });
  return {
    databaseUrl: url.href,
    exited: await release.exited,
    drop: async () => void (await connection.db.raw(`drop owned by ${name}; drop role ${name}`)),
  };
}

/** Makes a public llm at a backend, as the admin. */
export async function createPublic(
  t: System,
  llm: Partial<LlmCreate> & { name: string; url: string },
): Promise<void> {
  const body = { type: 'openai', model: 'tiny', ...llm };
  const answer = await t.call('POST', '/api/v1/llms', { body });
  if (answer.status !== 201) throw new TypeError(`${String(answer.status)}: ${await answer.text()}`);
}

/** Every row of the schema and every key of the namespace, with what it holds, as one text. */
export async function everythingStored({
  connection,
  schema,
  redisUrl,
  namespace,
}: Sandbox): Promise<string> {
  const { rows: tables } = await connection.db.raw<{ rows: { name: string }[] }>(
    `select table_name as name from information_schema.tables where table_schema = ?`,
    [schema],
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const { rows } = await connection.db.raw<{ rows: { line: unknown }[] }>(
      `select row_to_json(t) as line from ?? t`,
      [name],
    );
    texts.push(...rows.map(({ line }) => `${name} ${JSON.stringify(line)}`));
  }
  const redis = new Redis(redisUrl);
  try {
    for (let cursor = '0'; ;) {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${namespace}:*`, 'COUNT', 1000);
      for (const key of keys) texts.push(`${key} ${JSON.stringify(await valueOf(redis, key))}`);
      if (next === '0') return texts.join('\n');
      cursor = next;
    }
  } finally {
    redis.disconnect();
  }
}

async function valueOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  if (type === 'string') return await redis.get(key);
  if (type === 'hash') return await redis.hgetall(key);
  if (type === 'list') return await redis.lrange(key, 0, -1);
  if (type === 'set') return await redis.smembers(key);
  if (type === 'zset') return await redis.zrange(key, '0', '-1', 'WITHSCORES');
  return type === 'stream' ? await redis.xrange(key, '-', '+') : type;
}
