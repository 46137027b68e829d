import { Redis } from 'ioredis';
import { loseRedis } from './lose-redis.ts';

interface Place {
  redisUrl: string;
  namespace: string;
}

/** What a namespace held at some moment. */
export type Moment = readonly { key: string; value: Buffer; ttlMs: number }[];

async function withRedis<T>(at: Place, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(at.redisUrl, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
  });
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** Notes everything of a namespace, to be turned back to. */
export function remember(at: Place): Promise<Moment> {
  return withRedis(at, async (redis) => {
    const kept: { key: string; value: Buffer; ttlMs: number }[] = [];
    for await (const page of redis.scanStream({ match: `${at.namespace}:*`, count: 1_000 })) {
      for (const key of new Set(page as string[])) {
        const [value, ttlMs] = await Promise.all([redis.dumpBuffer(key), redis.pttl(key)]);
        if (value !== null) kept.push({ key, value, ttlMs: Math.max(0, ttlMs) });
      }
    }
    return kept;
  });
}

/** Redis is again as it was: as after a restart without its last writes, or a failover to a replica that was behind. */
export async function turnBack(at: Place, to: Moment): Promise<void> {
  await loseRedis(at);
  await withRedis(at, async (redis) => {
    for (const { key, value, ttlMs } of to) await redis.restore(key, ttlMs, value, 'REPLACE');
  });
}
