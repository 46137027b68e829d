import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { ClockSteps } from './clock-steps.ts';
import type { TaskRef } from '../task/fence.ts';
import type { Keys } from '../keys.ts';
import { timeOf } from './redis-time.ts';
import { isForeign } from '../trouble.ts';

/** Milliseconds since the last beat of each running task, by Redis's clock; Infinity for one that does not run. */
export async function lastHeard(
  { redis, keys, steps }: { redis: Redis; keys: Keys; steps: ClockSteps },
  refs: readonly TaskRef[],
): Promise<number[]> {
  const heard = steps.read();
  const pipeline = redis.pipeline().time();
  for (const { poolKey, taskId } of refs) pipeline.zscore(keys.pool(poolKey).run, taskId);
  const [time, ...scores] = (await orUnavailable(pipeline.exec())) ?? [];
  const now = timeOf(time?.[1]);
  heard(now);
  return scores.map(([error, score]) => (error || score === null ? Infinity : now - Number(score)));
}

/** The tasks of a pool that run, at most 1,000 of them; none where something else stands in the place of the list. */
export async function runningTasks(redis: Redis, keys: Keys, poolKey: string): Promise<TaskRef[]> {
  const listed = redis.zrange(keys.pool(poolKey).run, '0', '999').catch((thrown: unknown) => {
    if (isForeign(thrown)) return [];
    throw thrown;
  });
  const ids = await orUnavailable(listed);
  return ids.map((taskId) => ({ taskId, poolKey }));
}
