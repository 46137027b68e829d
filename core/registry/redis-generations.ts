import type { Connection } from './database/connect.ts';

/** How far leaders have counted in Redis, where no Redis that went back can take it along. */
export interface RedisGenerations {
  /** The highest count that was noted for a namespace; 0 = none. */
  highest(namespace: string): Promise<number>;
  /** Notes a count; a lower one than was noted changes nothing. */
  note(namespace: string, count: number): Promise<void>;
}

export function createRedisGenerations({ db }: Connection): RedisGenerations {
  return {
    async highest(namespace) {
      const row = await db('redisGenerations')
        .where({ namespace })
        .first<{ count: string } | undefined>('count');
      return Number(row?.count ?? 0);
    },
    async note(namespace, count) {
      await db.raw(
        `insert into redis_generations (namespace, count) values (:namespace, :count)
         on conflict (namespace) do update set count = excluded.count, noted_at = now()
         where redis_generations.count < excluded.count`,
        { namespace, count },
      );
    },
  };
}
