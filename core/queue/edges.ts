import type { Redis } from 'ioredis';
import { z } from 'zod';
import { jsonValue } from '../text/json-text.ts';
import type { Keys } from './keys.ts';
import { orUnavailable } from './link/connect.ts';
import { redisNow } from './live/redis-time.ts';

/** An edge that was not heard of for so long is taken for gone. */
const GONE_MS = 20_000;
/** All are gone, or Redis is about to be asked by nobody. */
const KEPT_MS = 60_000;

const edgeSchema = z.object({
  version: z.string().max(64),
  /** Unix times in milliseconds; `at` by Redis's clock. */
  startedAt: z.number().int().min(0).max(8.64e15),
  at: z.number(),
});

export interface SeenEdge {
  id: string;
  version: string;
  startedAt: number;
}

/** Which edges there are, as each says of itself every few seconds. Each throws McpctlError `unavailable`. */
export interface Edges {
  tell(edge: SeenEdge): Promise<void>;
  leave(id: string): Promise<void>;
  /** Longest there first. */
  all(): Promise<SeenEdge[]>;
}

export function createEdges({ redis, keys }: { redis: Redis; keys: Keys }): Edges {
  return {
    async tell({ id, version, startedAt }) {
      const at = await redisNow(redis);
      await orUnavailable(redis.hset(keys.edges, id, JSON.stringify({ version, startedAt, at })));
      await orUnavailable(redis.pexpire(keys.edges, KEPT_MS));
    },
    leave: async (id) => void (await orUnavailable(redis.hdel(keys.edges, id))),
    async all() {
      const [now, all] = await orUnavailable(Promise.all([redisNow(redis), redis.hgetall(keys.edges)]));
      const seen: SeenEdge[] = [];
      const gone: string[] = [];
      for (const [id, text] of Object.entries(all)) {
        const edge = edgeSchema.safeParse(jsonValue(text)).data;
        if (edge === undefined || now - edge.at > GONE_MS) gone.push(id);
        else seen.push({ id, version: edge.version, startedAt: edge.startedAt });
      }
      // One that was killed says no more, and is nobody's to take away but a reader's.
      if (gone.length > 0) await orUnavailable(redis.hdel(keys.edges, ...gone));
      return seen.sort((a, b) => a.startedAt - b.startedAt || a.id.localeCompare(b.id));
    },
  };
}
