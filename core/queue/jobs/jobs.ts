import { QueueKeys, Queue, RedisConnection, RedisQueueBackend, Worker, type BackendFactory } from 'bullmq';
import type { Redis } from 'ioredis';

/**
 * BullMQ over one shared connection. It carries dispatch only: a job is a task id. Tokens, results and cancel
 * never pass through it.
 */
function sharedBackend(redis: Redis, prefix: string): BackendFactory<RedisQueueBackend> {
  const connection = new RedisConnection(redis, { shared: true, blocking: false, skipVersionCheck: true });
  connection.on('error', () => undefined); // openRedis logs what its connection meets
  const queueKeys = new QueueKeys(prefix);
  return (name, options) =>
    new RedisQueueBackend(
      connection,
      name,
      queueKeys.getKeys(name),
      (type) => queueKeys.toKey(name, type),
      options,
      undefined,
      false,
    );
}

/** A few finished jobs stay for the board; they hold ids only. */
export const KEPT_JOBS = 20;
const keep = { count: KEPT_JOBS };

export interface JobData {
  /** The task id. */
  T: string;
}

/** Queue objects cost 4 kB each over a shared connection; the least recently used go. */
const MOST_QUEUES = 500;

/** @returns a way to get the queue of a name, for adding and removing jobs. */
export function createQueues(redis: Redis, prefix: string): (name: string) => Queue<JobData> {
  const factory = sharedBackend(redis, prefix);
  const queues = new Map<string, Queue<JobData>>();
  return (name) => {
    const existing = queues.get(name);
    if (existing) {
      queues.delete(name);
      queues.set(name, existing);
      return existing;
    }
    const queue = new Queue<JobData>(
      name,
      {
        connection: redis,
        prefix,
        skipVersionCheck: true,
        skipWaitingForReady: true,
        streams: { events: { maxLen: 0 } },
        defaultJobOptions: { attempts: 1, removeOnComplete: keep, removeOnFail: keep },
      },
      factory,
    );
    queue.on('error', () => undefined); // openRedis logs what its connection meets
    queues.set(name, queue);
    const oldest = queues.keys().next().value;
    if (queues.size > MOST_QUEUES && oldest !== undefined) queues.delete(oldest);
    return queue;
  };
}

/** A day: longer than any run. The fence, not BullMQ's lock, says whose task it is. */
export const LOCK_MS = 24 * 3_600_000;

/**
 * A BullMQ worker that only fetches when asked: no processor, no loop, no lock renewal, no stall check. Those
 * would fight our fence, or end the tasks of a worker that is merely busy.
 */
export function createFetcher(
  redis: Redis,
  { prefix, name }: { prefix: string; name: string },
): Worker<JobData> {
  const worker = new Worker<JobData>(
    name,
    null,
    {
      connection: redis,
      prefix,
      autorun: false,
      skipLockRenewal: true,
      skipStalledCheck: true,
      lockDuration: LOCK_MS,
      skipVersionCheck: true,
      removeOnComplete: keep,
      removeOnFail: keep,
    },
    sharedBackend(redis, prefix),
  );
  worker.on('error', () => undefined); // openRedis logs what its connection meets
  return worker;
}
