import { Redis, type RedisOptions } from 'ioredis';
import { tlsOf, type RedisPlace } from './where.ts';

interface How {
  withinMs: number;
  more?: Omit<RedisOptions, 'replyMapping'>;
}

/**
 * Asks one Redis something over a connection of its own, which is tried once.
 * @throws what the connection met first, which says more than what became of the command.
 */
export async function askOnce<T>(
  { url, verifyTls, ca }: Pick<RedisPlace, 'url' | 'verifyTls' | 'ca'>,
  { withinMs, more = {} }: How,
  ask: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = new Redis(url, {
    ...tlsOf({ url, verifyTls, ca }),
    lazyConnect: true,
    connectTimeout: withinMs,
    commandTimeout: withinMs,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: () => null,
    ...more,
  });
  let trouble: unknown;
  redis.on('error', (thrown: unknown) => (trouble ??= thrown));
  try {
    await redis.connect();
    return await ask(redis);
  } catch (thrown) {
    throw trouble ?? thrown;
  } finally {
    redis.disconnect();
  }
}
