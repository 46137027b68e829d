import { Redis } from 'ioredis';
import type { Product } from '../product/product.ts';

/** Commands that a product's Redis has been given so far, those inside of scripts among them. */
export async function commandsOf({ redisUrl }: Pick<Product, 'redisUrl'>): Promise<number> {
  const redis = new Redis(redisUrl, { lazyConnect: true, maxRetriesPerRequest: 1 });
  try {
    await redis.connect();
    const text = await redis.info('commandstats');
    return [...text.matchAll(/calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
  } finally {
    redis.disconnect();
  }
}
