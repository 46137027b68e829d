import type { Connection } from './database/connect.ts';

/** A queue in Redis that an llm, or the last llm of a pool, has left: written by a trigger with whatever took it away. */
export interface GoneQueue {
  poolKey: string;
  llmId: string;
}

export interface GoneQueues {
  /** The longest gone first. */
  list(limit: number): Promise<GoneQueue[]>;
  /** Of these pools those that have an llm, or a task that has not ended. */
  usedPools(poolKeys: readonly string[]): Promise<Set<string>>;
  forget(queues: readonly GoneQueue[]): Promise<void>;
  /** Looked at last from now on, as it cannot go yet. */
  postpone(queues: readonly GoneQueue[]): Promise<void>;
}

export function createGoneQueues({ db }: Connection): GoneQueues {
  const pairs = (queues: readonly GoneQueue[]) => queues.map(({ poolKey, llmId }) => [poolKey, llmId]);
  return {
    list: (limit) => db('goneQueues').orderBy('at').limit(limit).select<GoneQueue[]>('poolKey', 'llmId'),
    async usedPools(poolKeys) {
      if (poolKeys.length === 0) return new Set();
      const { rows } = await db.raw<{ rows: { key: string }[] }>(
        `select key from unnest(?::text[]) as key where exists (select 1 from llms where pool_key = key)
           or exists (select 1 from tasks where pool_name = key and status in ('pending', 'claimed', 'running'))`,
        [[...poolKeys]],
      );
      return new Set(rows.map(({ key }) => key));
    },
    async forget(queues) {
      if (queues.length > 0) await db('goneQueues').whereIn(['poolKey', 'llmId'], pairs(queues)).delete();
    },
    async postpone(queues) {
      if (queues.length > 0)
        await db('goneQueues').whereIn(['poolKey', 'llmId'], pairs(queues)).update({ at: db.fn.now() });
    },
  };
}
