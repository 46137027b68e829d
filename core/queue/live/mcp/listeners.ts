import type { Redis } from 'ioredis';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';
import { redisNow } from '../redis-time.ts';

/** One stream of a user, at whatever edge it is open. */
interface Listening {
  userId: string;
  streamId: string;
}

/**
 * Which streams a user has open at all edges together. One that nobody has renewed for `LISTENING_MS` is there no more: its edge was killed. Each
 * throws McpctlError `unavailable`.
 */
export interface OpenListeners {
  /** @returns whether there was room beside what is open: of those that come at once too many may be sent away, and never too few. */
  enter(one: Listening, most: number): Promise<boolean>;
  /** It is open still. Where Redis has lost it meanwhile it counts again, whatever room there is. */
  renew(one: Listening): Promise<void>;
  leave(one: Listening): Promise<void>;
}

export const LISTENING_MS = 90_000;

export function createOpenListeners({ redis, keys }: { redis: Redis; keys: Keys }): OpenListeners {
  const leave = async ({ userId, streamId }: Listening): Promise<void> =>
    void (await orUnavailable(redis.zrem(keys.listeners(userId), streamId)));
  const put = async ({ userId, streamId }: Listening): Promise<number> => {
    const key = keys.listeners(userId);
    const now = await redisNow(redis);
    const asked = redis
      .multi()
      .zremrangebyscore(key, '-inf', now - LISTENING_MS)
      .zadd(key, now, streamId)
      .pexpire(key, LISTENING_MS)
      .zcard(key);
    const answers = await orUnavailable(asked.exec());
    return Number(answers?.at(-1)?.[1] ?? 0);
  };
  return {
    async enter(one, most) {
      if ((await put(one)) <= most) return true;
      await leave(one);
      return false;
    },
    renew: async (one) => void (await put(one)),
    leave,
  };
}
