import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { mendAfter, mending } from '../mend.ts';
import { readFences, type Fence, type TaskRef } from '../task/fence.ts';
import type { ClockSteps } from './clock-steps.ts';
import { timeOf } from './redis-time.ts';

/** A task that runs and was not heard of for a while. */
export interface LateTask extends TaskRef {
  fence: Fence;
  ageMs: number;
  /** Its worker has beaten since it claimed. */
  heard: boolean;
  /** Nothing was heard of it since Redis went back: its end may be among the writes that were lost, and its worker well. */
  lapsed: boolean;
}

/** The process of a worker, as a fence names it. */
export type Boot = Pick<Fence, 'session' | 'boot'>;

/** What runs in pools, for whoever judges by the beats (`run:{P}`, the last beat of each by Redis's clock). */
export interface RunningTasks {
  /** At most 1,000 of a pool. @throws McpctlError `unavailable`. */
  of(poolKey: string): Promise<TaskRef[]>;
  /** How many run in each pool. 0 where that cannot be told. */
  counts(poolKeys: readonly string[]): Promise<number[]>;
  /**
   * Claims that have missed a beat: nothing less makes a worker suspect. What nobody can beat any more is struck meanwhile.
   * @param unread is told of a pool that cannot be read; the others go on.
   */
  late(
    poolKeys: readonly string[],
    how: { silentMs: number; unread: (poolKey: string, error: unknown) => void },
  ): Promise<LateTask[]>;
  /** How many listen to the control channel of each, in the order of the boots: a worker of its own connection does. */
  listeners(boots: readonly Boot[]): Promise<number[]>;
  /** @returns whether it stood there. */
  strike(ref: TaskRef): Promise<boolean>;
}

/** Of each pool at a time; the longest silent come first. */
const MOST = 1_000;
/** Between beats, and between Redis and us. */
const AHEAD_MS = 2_000;

interface Store {
  redis: Redis;
  keys: Keys;
}

export function createRunningTasks({ steps, ...store }: Store & { steps: ClockSteps }): RunningTasks {
  const { redis, keys } = store;
  const strike = async ({ poolKey, taskId }: TaskRef): Promise<boolean> =>
    (await orUnavailable(redis.zrem(keys.pool(poolKey).run, taskId))) > 0;
  return {
    of: (poolKey) => runningTasks(redis, keys, poolKey),
    strike,
    async counts(poolKeys) {
      const pipeline = redis.pipeline();
      for (const key of poolKeys) pipeline.zcard(keys.pool(key).run);
      const answers = await pipeline.exec();
      return poolKeys.map((_, at) => Number(answers?.[at]?.[1] ?? 0));
    },
    async late(poolKeys, { silentMs, unread }) {
      const stepped = steps.read();
      const pipeline = redis.pipeline().time().get(keys.epoch);
      for (const poolKey of poolKeys)
        pipeline.zrange(keys.pool(poolKey).run, '0', String(MOST - 1), 'WITHSCORES');
      const [time, epoch, ...answers] = (await orUnavailable(pipeline.exec())) ?? [];
      if (time?.[0]) throw time[0];
      const now = timeOf(time?.[1]);
      const mark = Number(epoch?.[1] ?? 0);
      // A mark of the future was set by a clock that was set back since: it says nothing of beats.
      const wentBackAt = mark > now ? 0 : mark;
      stepped(now);
      const refs: (TaskRef & { ageMs: number; beatenAt: number })[] = [];
      poolKeys.forEach((poolKey, i) => {
        const [error, flat] = answers[i] ?? [null, []];
        if (error || !Array.isArray(flat)) {
          void mendAfter(redis, [keys.pool(poolKey).run], error); // for the next look
          return unread(poolKey, error);
        }
        for (let j = 0; j < flat.length; j += 2) {
          const ref = { poolKey, taskId: String(flat[j]) };
          const ageMs = now - Number(flat[j + 1]);
          // Beaten before Redis's clock was set back: as of now, so that its silence counts from here.
          if (ageMs < -AHEAD_MS) bringBack(store, ref, now);
          if (ageMs >= silentMs) refs.push({ ...ref, ageMs, beatenAt: now - ageMs });
        }
      });
      const fences = await readFences(redis, keys, refs);
      return refs.flatMap(({ beatenAt, ...ref }, i) => {
        const fence = fences[i];
        if (fence?.state === 'open' && fence.claim !== '')
          return [{ ...ref, fence, heard: beatenAt > (fence.claimedAt ?? 0), lapsed: beatenAt < wentBackAt }];
        // Nobody can beat it any more: its end, or Redis, took the fence.
        if (!fence || fence.state === 'ended' || fence.state === 'closed')
          void strike(ref).catch(() => undefined);
        return [];
      });
    },
    async listeners(boots) {
      if (boots.length === 0) return [];
      const channels = boots.map(({ session, boot }) => keys.control(session, boot));
      const answer = await orUnavailable(redis.pubsub('SHARDNUMSUB', ...channels));
      const counts = new Map<string, number>();
      for (let i = 0; i < answer.length; i += 2) counts.set(String(answer[i]), Number(answer[i + 1]));
      return channels.map((channel) => counts.get(channel) ?? 0);
    },
  };
}

/** A beat that comes meanwhile is no later than that, and stands. */
function bringBack({ redis, keys }: Store, { poolKey, taskId }: TaskRef, now: number): void {
  void redis.zadd(keys.pool(poolKey).run, 'XX', 'LT', now, taskId).catch(() => undefined); // the next look does it
}

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
