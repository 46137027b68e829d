import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { queueKeyNames } from '../kinds.ts';
import { redisNow } from '../live/redis-time.ts';

/** Finished jobs that are kept for the board are fewer (jobs.ts). */
const MOST = 1_000;

/**
 * Removes what is left of a queue that nobody takes from any more, unless jobs wait or run in it.
 * @param which the pool's own, or with an llm's id that member's. @returns whether it is gone.
 */
export async function forgetQueue(
  redis: Redis,
  keys: Keys,
  which: { poolKey: string; llmId?: string },
): Promise<boolean> {
  const { poolKey, llmId } = which;
  const pool = keys.pool(poolKey);
  const prefix = `${keys.namespace}:${pool.queue(llmId)}:`;
  const turns = [pool.turns('interactive', llmId), pool.turns('background', llmId)];
  const look = redis.pipeline().exists(`${prefix}wait`, `${prefix}prioritized`, `${prefix}active`);
  look.zrange(`${prefix}completed`, '0', String(MOST)).zrange(`${prefix}failed`, '0', String(MOST));
  const [open, completed, failed] = (await orUnavailable(look.exec())) ?? [];
  if (open?.[0] || Number(open?.[1]) > 0) return false;
  const jobs = [completed?.[1], failed?.[1]].flatMap((ids) => (Array.isArray(ids) ? ids.map(String) : []));
  const gone = [...queueKeyNames, ...jobs.flatMap((id) => [id, `${id}:lock`, `${id}:logs`])];
  await orUnavailable(redis.unlink(...gone.map((name) => prefix + name), ...turns));
  return true;
}

/** Longer than anything of a task that is under way stands in a list without being renewed or taken up. */
const STALE_MS = 10 * 60_000;

/**
 * Removes what the lists of a pool still name, though no task of it is open: whoever would have struck it died. What came
 * lately is left, as the pool may be in use again by now. @returns whether nothing is left.
 */
export async function forgetPool(redis: Redis, keys: Keys, poolKey: string): Promise<boolean> {
  const pool = keys.pool(poolKey);
  const lists = [pool.run, pool.ended, pool.back, pool.orphans];
  const before = (await redisNow(redis)) - STALE_MS;
  const pipeline = redis.pipeline();
  for (const list of lists) pipeline.zremrangebyscore(list, '-inf', before);
  pipeline.exists(...lists);
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  return answers.at(-1)?.[1] === 0;
}
