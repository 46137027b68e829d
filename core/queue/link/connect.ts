import { Redis, type RedisOptions } from 'ioredis';
import { McpctlError, messageOf } from '../../errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { noteBullScripts } from './taught.ts';
import { COMMAND_TIMEOUT_MS, growWithBytes, SOCKET_TIMEOUT_MS } from '../line/command-time.ts';
import { connectorFor, type OwnUser } from './connector.ts';
import { createKeys } from '../keys.ts';
import { joinWrites } from '../line/join-writes.ts';
import { judge } from './judge.ts';
import { primaryOf } from './primary.ts';
import { redisTroubleOf, redisUnavailable } from '../trouble.ts';
import { addressOf, tlsOf, type RedisPlace } from './where.ts';
import { mayBeWide } from '../line/wide.ts';

/** For those outside this door, who hold a connection but do not open one. */
export type { Redis } from 'ioredis';

/**
 * What a connection is for decides how it fails:
 * - `producer`: fails within 2 s rather than wait (admission, cancel, reads for a caller);
 * - `commands`: waits for Redis to come back (a worker's emits are idempotent and must not be lost);
 * - `wide`: what is large of those, `wide-producer` of a producer's (wide.ts);
 * - `blocking`: waits in BZPOPMIN, so never a command timeout, or the pop would be cut short;
 * - `subscriber`: hears the sharded channels.
 * Whichever may be idle is pinged (`keepAsking`), or nobody would miss an answer on it.
 */
export type Role = 'producer' | 'wide-producer' | 'commands' | 'wide' | 'blocking' | 'subscriber';

export interface ConnectOptions extends RedisPlace {
  /** Instead of the user and password of the URL: a provider session's own, with no more rights than a session has. */
  user?: OwnUser | undefined;
  clock: Clock;
  log: Log;
}

const byRole: Record<Role, Omit<RedisOptions, 'replyMapping'>> = {
  producer: {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
  },
  commands: { maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS },
  // How long it may be silent depends on what was sent (wide.ts).
  wide: { maxRetriesPerRequest: null },
  'wide-producer': { maxRetriesPerRequest: 1 },
  blocking: { maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS },
  // It subscribes again by itself (subscriber.ts).
  subscriber: { maxRetriesPerRequest: null, autoResubscribe: false, socketTimeout: SOCKET_TIMEOUT_MS },
};

/** Connections of those who would rather wait than fail: see `runScript`. */
const patient = new WeakSet<Redis>();
export const isPatient = (redis: Redis): boolean => patient.has(redis);
/**
 * How a connection asks whether it is with its primary still, where that is found by Sentinels or in a Cluster. There it is
 * any question about a key: who does not have its slot answers MOVED.
 */
const followers = new WeakMap<Redis, () => Promise<unknown>>();

/** Connections to a node of a Redis Cluster. */
const clustered = new WeakSet<Redis>();

/** The longest pause between two tries to connect; shorter where another primary may be there any moment. */
const AGAIN_MS = 1_000;
const AGAIN_THERE_MS = 250;

/** Between two reconnections to look for a primary that takes writes. */
const ELSEWHERE_MS = 2_000;

/**
 * Opens one connection of a role. It reconnects by itself, for ever, within about a second of Redis's return; where
 * Sentinels are named, to the primary that they name then.
 */
export function openRedis(role: Role, options: ConnectOptions): Redis {
  const { user, clock, log, ...place } = options;
  const { url, cluster } = place;
  const primary = primaryOf(place, user);
  const leaves = leavesOn({ role, isFollower: primary !== undefined, clock });
  const redis = new Redis(user ? addressOf(url) : url, {
    ...byRole[role],
    lazyConnect: true,
    connectTimeout: 5_000,
    keepAlive: 10_000,
    disableClientInfo: true,
    enableAutoPipelining: false,
    reconnectOnError: leaves,
    retryStrategy: (times) =>
      Math.min(50 * 2 ** Math.min(times, 10), primary ? AGAIN_THERE_MS : AGAIN_MS) + clock.random() * 100,
    ...tlsOf(place),
    ...(user || primary ? { Connector: connectorFor({ primary, user }) } : {}),
    // Who signs in as a session may not ask for INFO; signing in has asked whether this Redis is ready.
    ...(user ? { enableReadyCheck: false } : {}),
  });
  const isWide = role === 'wide' || role === 'wide-producer';
  if (!isWide) growWithBytes(redis);
  if (primary)
    followers.set(redis, () =>
      cluster ? redis.exists(createKeys(cluster.tag).generation) : leaveReplica(redis),
    );
  noteBullScripts(redis, { byHash: user !== undefined });
  if (cluster) clustered.add(redis);
  if (role === 'commands' || role === 'wide') patient.add(redis);
  const wide = role === 'commands' ? 'wide' : role === 'producer' ? 'wide-producer' : null;
  if (wide) mayBeWide(redis, { open: () => openRedis(wide, options), close: closeRedis });
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

/** Whether a refusal is a reason to connect anew, and to send it again there (2). */
function leavesOn({
  role,
  isFollower,
  clock,
}: {
  role: Role;
  isFollower: boolean;
  clock: Clock;
}): (thrown: Error) => boolean | 1 | 2 {
  let leftAt = -Infinity;
  return (thrown) => {
    // The name may lead to the new primary by now; what only came to the wrong one is sent again there.
    const again = role === 'commands' || role === 'wide' ? 2 : true;
    if (redisTroubleOf(thrown) === 'read-only') return again;
    if (!isFollower) return false;
    if (thrown.message.startsWith('MOVED')) return again;
    // A primary that is cut off may have a successor; or the others are only slow, and it is met again.
    if (!/^(NOREPLICAS|CLUSTERDOWN)/.test(thrown.message)) return false;
    if (clock.elapsed() - leftAt < ELSEWHERE_MS) return false;
    leftAt = clock.elapsed();
    return again;
  };
}

/**
 * Closes a connection for good: what waits on it fails, also where it was between two tries to connect. There ioredis only
 * forgets its next try, and what waits would wait for ever; one more try, broken off at once, ends it.
 */
export function closeRedis(redis: Redis): void {
  const wasBetweenTries = redis.status === 'reconnecting';
  redis.disconnect();
  if (!wasBetweenTries) return;
  redis.connect().catch(() => undefined); // it is broken off by the next line
  redis.disconnect();
}

const ASK_EVERY_MS = 1_000;

/**
 * Gives an otherwise idle connection something to answer each second; one that follows a primary asks whether it is with
 * it: a subscriber would hear on a replica as well, and be counted by nobody. @returns the way to stop.
 */
export function keepAsking(redis: Redis, log: Log): () => void {
  const ask = (): void => {
    if (redis.status !== 'ready') return;
    const asked = followers.get(redis)?.() ?? redis.ping();
    asked.catch((thrown: unknown) => log.debug({ why: messageOf(thrown) }, 'a ping failed'));
  };
  const timer = setInterval(ask, ASK_EVERY_MS);
  return () => clearInterval(timer);
}

/** HELLO is a question that every user may ask. */
async function leaveReplica(redis: Redis): Promise<void> {
  const about = await redis.call('HELLO');
  if (Array.isArray(about) && about[about.indexOf('role') + 1] === 'replica') redis.disconnect(true);
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
  const { faults, hints } = judge(await answered(redis.info()), { isCluster: clustered.has(redis) });
  if (faults.length > 0)
    throw new McpctlError('invalid_config', `This Redis cannot be used:\n  ${faults.join('\n  ')}`);
  return { hints };
}

const ANSWER_WITHIN_MS = 2_000;

/** For a question over a connection that would wait for Redis to come back. @throws McpctlError `unavailable` after 2 s. */
export async function answered<T>(call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new McpctlError('unavailable')), ANSWER_WITHIN_MS);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a call for somebody who waits: any failure becomes `unavailable` with what is so, without its arguments. */
export async function orUnavailable<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    throw redisUnavailable(thrown);
  }
}
