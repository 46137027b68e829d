import type { Redis } from 'ioredis';
import { closeRedis } from '../link/connect.ts';
import { mendAfter, mending } from '../mend.ts';
import type { Keys } from '../keys.ts';

/**
 * How a consumer learns that its queues may have a job. BullMQ lays a marker beside a queue that gets one; whoever
 * pops it looks, and a marker is there again after each job that was taken.
 */
export interface Markers {
  start?(): Promise<void>;
  /**
   * Waits, for a bounded time, until one of these queues may have a job.
   * @returns the queue whose marker was popped: follow it, or pass it on. Null: look anyhow.
   */
  wait(queues: readonly string[], signal: AbortSignal): Promise<string | null>;
  /** We took a wake-up that we cannot follow now: a member that can gets it. */
  passOn(queue: string): Promise<void>;
  /** Breaks off a wait; it may be called twice. */
  stop?(): void;
}

type Place = Pick<Keys, 'namespace'>;

export const markerOf = ({ namespace }: Place, queue: string): string => `${namespace}:${queue}:marker`;

/** Whoever pops it looks into the queue. */
export async function layMarker(redis: Redis, keys: Place, queue: string): Promise<void> {
  const marker = markerOf(keys, queue);
  await mending(redis, [marker], () => redis.zadd(marker, 0, '0'));
}

/** So that a pause or a drain is never more than this away. */
const WAIT_S = 1;

/** For one member, over a blocking connection of its own, which is opened and closed here. */
export function ownMarkers({
  commands,
  blocking,
  keys,
}: {
  commands: Redis;
  blocking: Redis;
  keys: Keys;
}): Markers {
  return {
    async start() {
      if (blocking.status === 'wait') await blocking.connect();
    },
    async wait(queues) {
      const markers = queues.map((queue) => markerOf(keys, queue));
      const popped = await blocking.bzpopmin(...markers, WAIT_S).catch(async (thrown: unknown) => {
        if (!(await mendAfter(commands, markers, thrown))) throw thrown;
        return null;
      });
      return popped ? (queues[markers.indexOf(popped[0])] ?? null) : null;
    },
    passOn: (queue) => layMarker(commands, keys, queue),
    // A wake-up that is lost with the connection costs another member a second.
    stop: () => closeRedis(blocking),
  };
}
