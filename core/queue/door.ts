import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { messageOf } from '../errors.ts';
import type { Presence } from '../member/presence.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/process/service.ts';
import { ClockSteps } from './live/clock-steps.ts';
import { closeRedis, connectAndCheck, keepAsking, openRedis } from './link/connect.ts';
import { Dispatch } from './task/dispatch.ts';
import { createQueues, type JobData } from './jobs/jobs.ts';
import { createKeys, type Keys } from './keys.ts';
import { createParts, type Parts } from './parts.ts';
import { createPresence } from './live/presence.ts';
import { teachScript } from './scripts.ts';
import { createPoolChannels, type PoolChannels } from './link/pool-channels.ts';
import { createSubscriber, type Subscriber } from './link/subscriber.ts';
import { keySpaceOf, redisPlaceOf, type RedisPlaceSettings } from './link/where.ts';

export interface QueueDoorOptions extends RedisPlaceSettings {
  leaseMs: number;
  eventKeepMs: number;
  clock: Clock;
  log: Log;
}

/**
 * Everything that an edge or a scheduler asks of Redis, over two connections, and what is large over further ones
 * (line/wide.ts). No command goes there but through what it offers: whoever wants another adds it to a part (parts.ts).
 */
export interface QueueDoor extends Service, Parts {
  keys: Keys;
  subscriber: Subscriber;
  /** By which this process hears of the tasks that it made. */
  channels: PoolChannels;
  dispatch: Dispatch;
  presence: Presence;
  /** Of Redis's clock, beside this process's elapsed time. */
  steps: ClockSteps;
  /** BullMQ's own object, for the board that shows it. */
  queueOf(name: string): Queue<JobData>;
}

/** The door, to whoever opens it. */
export interface OpenedDoor extends QueueDoor {
  /** For tests, which break what stands there. @internal */
  redis: Redis;
}

/** @throws at `start`: McpctlError `invalid_config` or `unavailable`. */
export function openQueueDoor(options: QueueDoorOptions): OpenedDoor {
  const { leaseMs, eventKeepMs, clock, log } = options;
  const at = { ...redisPlaceOf(options), clock, log };
  const keys = createKeys(keySpaceOf(options));
  const redis = openRedis('producer', at);
  const subscriber = createSubscriber(openRedis('subscriber', at), log);
  const channels = createPoolChannels(subscriber, keys);
  const queues = createQueues(redis, keys.namespace);
  const steps = new ClockSteps({ clock, log });
  let stopAsking = (): void => undefined;
  return {
    name: 'redis',
    ...createParts({ redis, keys, subscriber, channels, steps, log, eventKeepMs }),
    redis,
    keys,
    subscriber,
    channels,
    dispatch: new Dispatch({ redis, keys, queues, eventKeepMs }),
    presence: createPresence({ redis, keys, leaseMs, steps }),
    steps,
    queueOf: queues,
    async start() {
      const { hints } = await connectAndCheck(redis);
      await teachScript(redis, 'enqueue');
      // Before any command of the new connection.
      redis.on('ready', () => {
        teachScript(redis, 'enqueue').catch((thrown: unknown) =>
          log.debug({ why: messageOf(thrown) }, 'Redis did not learn a script'),
        );
      });
      for (const hint of hints) log.warn(hint);
      stopAsking = keepAsking(redis, log);
      await subscriber.start?.();
    },
    async stop() {
      stopAsking();
      await subscriber.stop();
      closeRedis(redis);
    },
  };
}
