import { Redis } from 'ioredis';

/** Everything of a namespace is gone, and nothing else: as after FLUSHALL, or a restart without persistence. @param which of it, as a pattern of keys. */
export async function loseRedis(
  at: { redisUrl: string; namespace: string },
  which: string = '*',
): Promise<void> {
  const redis = new Redis(at.redisUrl, {
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
  });
  await redis.connect();
  try {
    for await (const page of redis.scanStream({ match: `${at.namespace}:${which}`, count: 1_000 })) {
      const keys = page as string[];
      if (keys.length > 0) await redis.del(...keys);
    }
  } finally {
    redis.disconnect();
  }
}

/** Users are of the whole Redis: those that an installation's edges made for its sessions stay behind it. */
export async function dropRedisUsers(at: { redisUrl: string; namespace: string }): Promise<void> {
  const redis = new Redis(at.redisUrl);
  const all = (await redis.call('ACL', 'USERS')) as string[];
  const theirs = all.filter((name) => name.startsWith(`${at.namespace}/`));
  if (theirs.length > 0) await redis.call('ACL', 'DELUSER', ...theirs);
  redis.disconnect();
}
