import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import { mending } from '../mend.ts';
import type { ClockSteps } from './clock-steps.ts';
import type { TaskRef } from '../task/fence.ts';
import type { Keys } from '../keys.ts';
import { timeOf } from './redis-time.ts';

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

/** The tasks of a pool that run, at most 1,000 of them. */
export async function runningTasks(redis: Redis, keys: Keys, poolKey: string): Promise<TaskRef[]> {
  const { run } = keys.pool(poolKey);
  const ids = await orUnavailable(mending(redis, [run], () => redis.zrange(run, '0', '999')));
  return ids.map((taskId) => ({ taskId, poolKey }));
}
