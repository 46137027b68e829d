import { createHash, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError, messageOf } from '../errors.ts';
import { bullScripts } from './link/taught.ts';
import { orUnavailable } from './link/connect.ts';
import type { Keys } from './keys.ts';
import { textOf, type ScriptName } from './scripts.ts';

/** What a provider session may touch in Redis, as its own user there. */
export interface RedisUser {
  sessionId: string;
  /** SHA-256 of its password, in hex: neither we nor Redis keep the password itself. */
  passwordHash: string;
  members: readonly { llmId: string; poolKey: string }[];
}

/** What hosted workers, all of them as one user, may touch: what a session with these members may, and their own leases. */
export interface HostedRedisUser extends Omit<RedisUser, 'sessionId'> {
  /** What it may touch beside that it may touch still: what was taken there runs to its end. */
  keepsOthers: boolean;
}

/** Users of Redis for provider sessions. Redis forgets them when it restarts; core/flow/redis-users.ts makes them again. */
export interface RedisUsers {
  /** Makes the user, or gives it exactly these rights; connections that it has stay. @throws McpctlError `unavailable`. */
  set(user: RedisUser): Promise<void>;
  /** Makes the user of hosted workers, or gives it these rights. @throws McpctlError `unavailable`. */
  setHosted(user: HostedRedisUser): Promise<void>;
  /** Takes users away and cuts their connections; one that is not there is no fault. @throws McpctlError `unavailable`. */
  drop(sessionIds: readonly string[]): Promise<void>;
  /** Sessions that have a user in this Redis; `hostedUser` where hosted workers have theirs. @throws McpctlError `unavailable`. */
  list(): Promise<string[]>;
  /** Teaches Redis the scripts that these users may run; it does nothing to teach them twice. */
  teach(): Promise<void>;
  /** Tries whether users can be made here. @returns why not, as a sentence; null when they can. */
  whyNot(): Promise<string | null>;
  nameOf(sessionId: string): string;
}

/**
 * Scripts that a worker runs. It may run what Redis has been taught, and teach it nothing: no script of its own.
 * @internal tests look for commands in them
 */
export const workerScripts = [
  'claim',
  'take',
  'emit',
  'deliver',
  'beat',
  'end',
  'handback',
  'pass',
  'fail',
  'done',
  'announce',
  'hold',
  'wake',
  'generation',
  'mend',
] as const satisfies readonly ScriptName[];

/** A hosted worker says its goodbye itself, and takes the MCP servers that it runs. */
const hostedScripts = [...workerScripts, 'leave', 'host'] as const satisfies readonly ScriptName[];

/** What a worker sends itself. */
const own = [
  'ping',
  'evalsha',
  'evalsha_ro',
  'bzpopmin',
  'zadd',
  'exists',
  'getex',
  'ssubscribe',
  'sunsubscribe',
];
/** What the scripts do, ours and BullMQ's: Redis asks whether their caller may, key by key. */
const ofScripts = [
  ...['del', 'type', 'exists', 'get', 'set', 'incr', 'pexpire', 'pttl', 'time', 'spublish', 'info|server'],
  ...['hdel', 'hexists', 'hget', 'hgetall', 'hincrby', 'hlen', 'hmget', 'hmset', 'hset', 'hsetnx'],
  ...['llen', 'lpos', 'lpush', 'lrange', 'lrem', 'ltrim', 'rpoplpush', 'rpush', 'sadd', 'scard', 'srem'],
  ...['xadd', 'xlen', 'xtrim', 'zadd', 'zcard', 'zpopmin', 'zrange', 'zrangebyscore', 'zrem'],
  ...['zremrangebyrank', 'zremrangebyscore', 'zrevrange', 'zrevrangebyscore', 'zscore'],
];
/**
 * All that a session's user may send. Nothing that lists keys, asks for or changes the server, or brings a script.
 * @internal tests compare it with what is sent
 */
export const workerCommands: readonly string[] = [...new Set([...own, ...ofScripts])];

/** What `leave` sends beside those. @internal tests compare it with what is sent */
export const hostedCommands: readonly string[] = [...workerCommands, 'unlink'];

/** In the place of a session's id in the name of its user. */
export const hostedUser = 'hosted';
/** Each process has a session of its own, which no row names: what they begin with tells their leases from others'. */
const HOSTED_SESSION = 'ffffffff-';
/** All of theirs, as no one session is called. */
const HOSTED_SESSIONS = `${HOSTED_SESSION}*`;
export const hostedSession = (): string => HOSTED_SESSION + randomUUID().slice(HOSTED_SESSION.length);

/** How the user of a session, or of hosted workers, is called in a database of Redis. */
export const redisUserName = (namespace: string, db: number, who: string): string =>
  `${namespace}/${String(db)}/${who}`;

/** The keys and channels of a session, in the words of ACL SETUSER: no name that people choose is a part of one. */
function patternsOf(
  keys: Keys,
  { sessionId, members }: Pick<RedisUser, 'sessionId' | 'members'>,
): { keys: string[]; channels: string[] } {
  const patterns = new Set([keys.lease(sessionId)]);
  const channels = new Set([keys.control(sessionId, '*')]);
  const readable = new Set([keys.generation]);
  for (const { llmId, poolKey } of members) {
    const {
      hash: _hash,
      queue,
      turns: _turns,
      task,
      edgeChannel: _edge,
      denied,
      host,
      tells,
      lacks,
      heard,
      news: _news,
      ...ofPool
    } = keys.pool(poolKey);
    const { channel, ...ofTask } = task('*');
    const queues = [queue(), queue(llmId)].map((name) => `${keys.namespace}:${name}:*`);
    const all = [...Object.values(ofPool), ...Object.values(ofTask), ...queues, keys.wake(llmId)];
    if (sessionId === HOSTED_SESSIONS) all.push(host, tells, lacks);
    for (const pattern of all) patterns.add(pattern);
    channels.add(channel);
    readable.add(denied);
    if (sessionId === HOSTED_SESSIONS) readable.add(heard);
  }
  const all = [...[...patterns].map((key) => `~${key}`), ...[...readable].map((key) => `%R~${key}`)];
  return { keys: all, channels: [...channels] };
}

/** @param redis one that `openRedis` opened, as a user who may use ACL. */
export function createRedisUsers({ redis, keys }: { redis: Redis; keys: Keys }): RedisUsers {
  // Users are of the whole server, installations may be of one database of it.
  const db = redis.options.db ?? 0;
  const nameOf = (sessionId: string): string => redisUserName(keys.namespace, db, sessionId);
  const prefix = nameOf('');
  const acl = (...words: string[]): Promise<unknown> => orUnavailable(redis.call('ACL', ...words));
  const set = async (
    user: RedisUser,
    { name, commands, from }: { name: string; commands: readonly string[]; from: readonly string[] },
  ): Promise<void> => {
    const may = patternsOf(keys, user);
    await acl(
      'SETUSER',
      name,
      ...from,
      'on',
      `#${user.passwordHash}`,
      ...commands.map((command) => `+${command}`),
      ...(db === 0 ? [] : [`+select|${String(db)}`]),
      ...may.keys,
      ...may.channels.map((pattern) => `&${pattern}`),
    );
  };
  return {
    nameOf,
    set: (user) => set(user, { name: nameOf(user.sessionId), commands: workerCommands, from: ['reset'] }),
    async setHosted({ keepsOthers, ...user }) {
      // Of its rights alone: a password of before is none any more, whatever it may touch still.
      const from = keepsOthers ? ['resetpass'] : ['reset'];
      const all = { ...user, sessionId: HOSTED_SESSIONS };
      await set(all, { name: nameOf(hostedUser), commands: hostedCommands, from });
    },
    async drop(sessionIds) {
      if (sessionIds.length > 0) await acl('DELUSER', ...sessionIds.map(nameOf));
    },
    async list() {
      const names = await redis.call('ACL', 'USERS').catch(noneWhereRefused);
      return z
        .array(z.string())
        .parse(names)
        .flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
    },
    async teach() {
      const texts = [...hostedScripts.map(textOf), ...(await bullScripts(redis))];
      const hashes = texts.map((lua) => createHash('sha1').update(lua).digest('hex'));
      const loaded = (await orUnavailable(redis.script('EXISTS', ...hashes))) as unknown[];
      const missing = texts.filter((_, at) => loaded[at] !== 1);
      await Promise.all(missing.map((lua) => orUnavailable(redis.script('LOAD', lua))));
    },
    async whyNot() {
      const probe = nameOf('probe');
      try {
        await redis.call('ACL', 'SETUSER', probe, 'reset', 'off');
        await redis.call('ACL', 'DELUSER', probe);
        return null;
      } catch (thrown) {
        if (!isRefusal(thrown)) throw new McpctlError('unavailable', undefined, { cause: thrown });
        return `This Redis makes no users for us (${messageOf(thrown)})`;
      }
    },
  };
}

/** Where we may make no users, none is ours. */
function noneWhereRefused(thrown: unknown): [] {
  if (isRefusal(thrown)) return [];
  throw new McpctlError('unavailable', undefined, { cause: thrown });
}

/** Redis answered, and said no: it has no ACL command, or our own user may not use it. */
const isRefusal = (thrown: unknown): boolean =>
  /^(NOPERM|ERR unknown|ERR This instance|ERR .*(not allowed|not supported|disabled))/i.test(
    messageOf(thrown),
  );
