import type { Redis } from 'ioredis';
import type { Log } from '../runtime/log.ts';
import { halveEvents, redisMemory, weighEvents } from './event-memory.ts';
import { areReadable, countJobs, seeJobs } from './jobs/counts.ts';
import { forgetPool, forgetQueue } from './jobs/forget-queue.ts';
import { standingJobs, stillStanding, type StandingJob } from './jobs/leftovers.ts';
import { lookAt, notAtRest } from './jobs/look.ts';
import type { Keys } from './keys.ts';
import { orUnavailable } from './link/connect.ts';
import type { PoolChannels } from './link/pool-channels.ts';
import type { Subscriber } from './link/subscriber.ts';
import type { ClockSteps } from './live/clock-steps.ts';
import { sendControl, type Control } from './live/control.ts';
import { countIn, isTrusted, trust } from './live/generation.ts';
import { redisNow } from './live/redis-time.ts';
import { createBriefings } from './live/mcp/briefings.ts';
import { createEdges } from './edges.ts';
import { createHostedServers } from './live/hosted-servers.ts';
import { createIdentityHint } from './live/identity-hint.ts';
import { createOpenListeners } from './live/mcp/listeners.ts';
import { createLinkedTexts } from './live/mcp/linked-texts.ts';
import { createResourceNews, createSubscriptions } from './live/mcp/subscriptions.ts';
import { createOrderAnswers } from './live/mcp/server-orders.ts';
import { createShares } from './live/shares.ts';
import { createRunningTasks } from './live/running.ts';
import { createTraffic } from './live/traffic.ts';
import { createWakes } from './live/wake.ts';
import {
  poolsWithAny,
  readIndexes,
  readLasts,
  instantIn,
  strike,
  type IndexQuery,
  type PoolIndex,
} from './pool-indexes.ts';
import { createRedisUsers } from './redis-users.ts';
import { addTally, readTally, type SchedulerTally } from './tally.ts';
import type { Attempt } from './task/attempt.ts';
import { readFences, show, type TaskRef } from './task/fence.ts';
import { Follower } from './task/follow.ts';
import { placeOf } from './task/place.ts';
import { readLast, readTop, type Position } from './task/stream.ts';
import { attachWaiter, detachWaiter, type Waiter } from './task/waiters.ts';

/** The connection that the parts of a door send their commands over. */
export interface PartsDeps {
  redis: Redis;
  keys: Keys;
  subscriber: Subscriber;
  channels: PoolChannels;
  /** Of Redis's clock, as `door.ts` has them. */
  steps: ClockSteps;
  log: Log;
  /** How long the events of an ended task stay. */
  eventKeepMs: number;
}

/**
 * What edge and scheduler ask of Redis beside `Dispatch` and `Presence`, a part for each thing that stands there. Whoever has
 * a part can ask for what it says and send no command of their own. Each throws McpctlError `unavailable`, unless it says.
 */
export function createParts(deps: PartsDeps) {
  return { ...partsOfTasks(deps), ...partsOfPools(deps), ...partsOfServer(deps) };
}

export type Parts = ReturnType<typeof createParts>;

/** Of single tasks, those who wait for them and those who run them. */
function partsOfTasks({ redis, keys, subscriber, channels, steps, log, eventKeepMs }: PartsDeps) {
  const store = { redis, keys };
  const following = { ...store, subscriber, channels, log, eventKeepMs };
  const streamOf = ({ poolKey, taskId }: TaskRef): string => keys.pool(poolKey).task(taskId).stream;
  return {
    fences: {
      read: (refs: readonly TaskRef[]) => readFences(redis, keys, refs),
      show: (asked: { ref: TaskRef; attempt: Attempt }) => show(redis, keys, asked),
    },
    streams: {
      top: (ref: TaskRef) => orUnavailable(readTop(redis, streamOf(ref))),
      last: (ref: TaskRef) => readLast(redis, streamOf(ref)),
      lasts: (refs: readonly TaskRef[]) => readLasts(redis, keys, refs),
      follow: (ref: TaskRef, after?: Position) => Follower.open(following, ref, after),
      /** Of a task that names this edge (`channels`) in its fence. */
      followOwn: (ref: TaskRef) => Follower.openOwn(following, ref),
    },
    running: createRunningTasks({ ...store, steps }),
    places: { of: (task: Parameters<typeof placeOf>[2]) => placeOf(redis, keys, task) },
    waiters: {
      attach: (waiter: Waiter) => attachWaiter(store, waiter),
      detach: (waiter: Waiter) => detachWaiter(store, waiter),
    },
    control: {
      send: (to: { session: string; boot: string; message: Control }) => sendControl(store, to),
    },
    wakes: createWakes(store),
    hostedServers: createHostedServers(store),
  };
}

/** Of what stands in the queues and lists of pools. */
function partsOfPools({ redis, keys }: PartsDeps) {
  const store = { redis, keys };
  return {
    /** The lists of each pool that somebody is to do something about. */
    lists: {
      anyIn: (pools: readonly string[], asked: { indexes: readonly PoolIndex[]; together: number }) =>
        poolsWithAny(store, pools, asked),
      read: (pools: readonly string[], query: IndexQuery) => readIndexes(store, pools, query),
      instantOf: (what: { index: PoolIndex; ref: TaskRef }) => instantIn(store, what),
      strike: (what: { index: PoolIndex; refs: readonly TaskRef[] }) => strike(redis, keys, what),
    },
    jobs: {
      look: (refs: Parameters<typeof lookAt>[2]) => lookAt(redis, keys, refs),
      notAtRest: <T extends TaskRef & { epoch: number; pin: string | null }>(tasks: readonly T[]) =>
        notAtRest(redis, keys, tasks),
      standing: (queues: Parameters<typeof standingJobs>[2]) => standingJobs(redis, keys, queues),
      stillStanding: (jobs: readonly StandingJob[]) => stillStanding(redis, keys, jobs),
      count: (names: readonly string[]) => countJobs(redis, keys, names),
      see: (names: readonly string[]) => seeJobs(redis, keys, names),
      areReadable: (names: readonly string[]) => areReadable(redis, keys, names),
      forgetQueue: (which: { poolKey: string; llmId?: string }) => forgetQueue(redis, keys, which),
      forgetPool: (poolKey: string) => forgetPool(redis, keys, poolKey),
    },
    events: {
      memory: () => redisMemory(store),
      weigh: (refs: readonly TaskRef[]) => weighEvents(store, refs),
      halve: (refs: readonly TaskRef[]) => halveEvents(store, refs),
    },
  };
}

const PROBE_MS = 60_000;

/** Of the server itself, and of the installation as a whole. */
function partsOfServer({ redis, keys, subscriber }: PartsDeps) {
  const store = { redis, keys };
  /** One listener at the connection for all of them: Node takes many for a leak. */
  const atReady = new Set<() => void>();
  redis.on('ready', () => atReady.forEach((listener) => listener()));
  return {
    tally: {
      add: (tally: SchedulerTally) => addTally(redis, keys, tally),
      read: () => readTally(redis, keys),
    },
    /** Which Redis it is, and whether everything that is open was compared with it since it is that one. */
    generation: {
      count: (least: number) => countIn(store, least),
      trust: (count: number) => trust(store, count),
      isTrusted: () => isTrusted(store),
      isMarked: async () => (await orUnavailable(redis.exists(keys.epoch))) === 1,
      mark: async () => void (await orUnavailable(redis.set(keys.epoch, await redisNow(redis)))),
    },
    identityHint: createIdentityHint({ ...store, subscriber }),
    briefings: createBriefings(store),
    edges: createEdges(store),
    listeners: createOpenListeners(store),
    shares: createShares(store),
    linkedTexts: createLinkedTexts(store),
    subscriptions: createSubscriptions({ ...store, subscriber }),
    orderAnswers: createOrderAnswers({ ...store, subscriber }),
    resourceNews: createResourceNews({ ...store, subscriber }),
    traffic: createTraffic({ ...store, subscriber }),
    users: createRedisUsers(store),
    server: {
      now: () => redisNow(redis),
      ping: async () => void (await orUnavailable(redis.ping())),
      /** A replica, a full one and one that lost its disk answer a ping. */
      write: async () => void (await orUnavailable(redis.set(keys.probe, '1', 'PX', PROBE_MS))),
      /** Which process of Redis it is; '' where it does not say. */
      runId: async () => /^run_id:(\w+)/m.exec(await orUnavailable(redis.info('server')))?.[1] ?? '',
      /** @returns the way to stop hearing of new connections. */
      onReady: (listener: () => void): (() => void) => {
        atReady.add(listener);
        return () => void atReady.delete(listener);
      },
    },
  };
}
