import { Redis, type RedisOptions } from 'ioredis';
import { McpctlError, messageOf } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { noteBullScripts } from './taught.ts';
import { joinWrites } from './join-writes.ts';
import { judge } from './judge.ts';
import { signInAs, type OwnUser } from './own-user.ts';
import { redisTroubleOf, redisUnavailable } from './trouble.ts';

/** For those outside this door, who hold a connection but do not open one. */
export type { Redis } from 'ioredis';

/**
 * What a connection is for decides how it fails:
 * - `producer`: fails within 2 s rather than wait (admission, cancel, reads for a caller);
 * - `commands`: waits for Redis to come back (a worker's emits are idempotent and must not be lost);
 * - `blocking`: waits in BZPOPMIN, so never a command timeout, or the pop would be cut short;
 * - `subscriber`: hears the sharded channels.
 * Whichever may be idle is pinged (`keepAsking`), or nobody would miss an answer on it.
 */
export type Role = 'producer' | 'commands' | 'blocking' | 'subscriber';

export interface ConnectOptions {
  url: string;
  /** `false` accepts any certificate on `rediss://`. */
  verifyTls: boolean;
  /** PEM: trusted on `rediss://` instead of the public authorities. */
  ca?: string | undefined;
  /** Instead of the user and password of the URL: a provider session's own, with no more rights than a session has. */
  user?: OwnUser | undefined;
  clock: Clock;
  log: Log;
}

/**
 * Silence while an answer is due: so a half-open connection is noticed, in the handshake too. A second over the
 * deadline of a command and twice the blocking pop; a healed worker beats again before it is taken for dead.
 */
const SOCKET_TIMEOUT_MS = 3_000;

const byRole: Record<Role, Omit<RedisOptions, 'replyMapping'>> = {
  producer: {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 2_000,
    socketTimeout: SOCKET_TIMEOUT_MS,
  },
  commands: { maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS },
  blocking: { maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS },
  // It subscribes again by itself (subscriber.ts).
  subscriber: { maxRetriesPerRequest: null, autoResubscribe: false, socketTimeout: SOCKET_TIMEOUT_MS },
};

/** For `rediss://` alone: to ioredis these would mean TLS on any URL. */
export function tlsOf({
  url,
  verifyTls,
  ca,
}: Pick<ConnectOptions, 'url' | 'verifyTls' | 'ca'>): Pick<RedisOptions, 'tls'> {
  if (!url.startsWith('rediss:')) return {};
  return { tls: { rejectUnauthorized: verifyTls, ...(ca === undefined ? {} : { ca }) } };
}

/** The address of a Redis, without who asks. */
export function addressOf(redisUrl: string): string {
  const url = new URL(redisUrl);
  url.username = '';
  url.password = '';
  return url.href;
}

/** Connections of those who would rather wait than fail: see `runScript`. */
const patient = new WeakSet<Redis>();
export const isPatient = (redis: Redis): boolean => patient.has(redis);

/** Opens one connection of a role. It reconnects by itself, for ever, within about a second of Redis's return. */
export function openRedis(role: Role, { url, verifyTls, ca, user, clock, log }: ConnectOptions): Redis {
  const redis = new Redis(user ? addressOf(url) : url, {
    ...byRole[role],
    lazyConnect: true,
    connectTimeout: 5_000,
    keepAlive: 10_000,
    disableClientInfo: true,
    enableAutoPipelining: false,
    // The name may lead to the new primary by now; what only came to the wrong one is sent again there.
    reconnectOnError: (thrown) =>
      redisTroubleOf(thrown) !== 'read-only' ? false : role === 'commands' ? 2 : true,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), 1_000) + clock.random() * 100,
    ...tlsOf({ url, verifyTls, ca }),
    // Who signs in as a session may not ask for INFO; signing in has asked whether this Redis is ready.
    ...(user ? { Connector: signInAs(user), enableReadyCheck: false } : {}),
  });
  noteBullScripts(redis, { byHash: user !== undefined });
  if (role === 'commands') patient.add(redis);
  redis.on('connect', () => joinWrites(redis.stream));
  let away = false;
  redis.on('error', (thrown: unknown) => {
    if (!away) log.warn({ role, why: messageOf(thrown) }, 'Redis is away; reconnecting');
    away = true;
  });
  redis.on('ready', () => {
    if (away) log.info({ role }, 'Redis is back');
    away = false;
  });
  return redis;
}

const ASK_EVERY_MS = 1_000;

/** Gives an otherwise idle connection something to answer each second. @returns the way to stop. */
export function keepAsking(redis: Redis, log: Log): () => void {
  const ask = (): void => {
    if (redis.status !== 'ready') return;
    redis.ping().catch((thrown: unknown) => log.debug({ why: messageOf(thrown) }, 'a ping failed'));
  };
  const timer = setInterval(ask, ASK_EVERY_MS);
  return () => clearInterval(timer);
}

const READY_WITHIN_MS = 5_000;

/**
 * BullMQ may have begun to connect already; either way it is ready in time, or it cannot be reached.
 * @throws McpctlError `unavailable` when it does not answer in 5 s, with what it said last.
 */
export async function untilConnected(redis: Redis): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let last = 'it does not answer';
  const note = (thrown: unknown): string => (last = messageOf(thrown));
  redis.on('error', note);
  const ready = new Promise<void>((resolve, reject) => {
    const late = (): void =>
      reject(new McpctlError('unavailable', `Redis cannot be reached: ${last}. Check REDIS_URL.`));
    timer = setTimeout(late, READY_WITHIN_MS);
    if (redis.status === 'ready') resolve();
    else redis.once('ready', () => resolve());
    if (redis.status === 'wait') redis.connect().catch(note);
  });
  try {
    await ready;
  } finally {
    clearTimeout(timer);
    redis.off('error', note);
  }
}

/**
 * Connects, and checks that this Redis can do what we need of it.
 * @returns what to know of it that is no fault.
 * @throws McpctlError `invalid_config` naming each wrong setting, `unavailable` when it does not answer in 5 s.
 */
export async function connectAndCheck(redis: Redis): Promise<{ hints: string[] }> {
  await untilConnected(redis);
  const { faults, hints } = judge(await redis.info());
  if (faults.length > 0)
    throw new McpctlError('invalid_config', `This Redis cannot be used:\n  ${faults.join('\n  ')}`);
  return { hints };
}

/** Runs a call for somebody who waits: any failure becomes `unavailable` with what is so, without its arguments. */
export async function orUnavailable<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    throw redisUnavailable(thrown);
  }
}
