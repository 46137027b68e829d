import type { Redis } from 'ioredis';
import { orUnavailable } from './link/connect.ts';
import type { TaskRef } from './task/fence.ts';
import type { Keys } from './keys.ts';

interface Deps {
  redis: Redis;
  keys: Keys;
}

/** What Redis holds, of everybody who uses it, and the most that it may, in bytes; Infinity where it has no limit. */
export async function redisMemory({ redis }: Pick<Deps, 'redis'>): Promise<{ used: number; most: number }> {
  const info = await orUnavailable(redis.info('memory'));
  const of = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return { used: of('used_memory'), most: of('maxmemory') || Infinity };
}

const streamOf = ({ keys }: Deps, { poolKey, taskId }: TaskRef): string =>
  keys.pool(poolKey).task(taskId).stream;

/** What the events of tasks weigh in Redis, with the ends that are among them, in bytes; 0 where there are none. */
export async function weighEvents(deps: Deps, refs: readonly TaskRef[]): Promise<number[]> {
  if (refs.length === 0) return [];
  const pipeline = deps.redis.pipeline();
  for (const ref of refs) pipeline.memory('USAGE', streamOf(deps, ref));
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  return refs.map((_, n) => Number(answers[n]?.[1] ?? 0));
}

/** Of tasks that run, the older half of the events goes: a resume from there is 410, who reads what comes goes on. */
export async function halveEvents(deps: Deps, refs: readonly TaskRef[]): Promise<void> {
  if (refs.length === 0) return;
  const lengths = deps.redis.pipeline();
  for (const ref of refs) lengths.xlen(streamOf(deps, ref));
  const answers = (await orUnavailable(lengths.exec())) ?? [];
  const trims = deps.redis.pipeline();
  refs.forEach((ref, n) => {
    const [failed, length] = answers[n] ?? [];
    // Of what could not be asked nothing is known: a half of that is not all of it.
    if (failed === null) trims.xtrim(streamOf(deps, ref), 'MAXLEN', Math.ceil(Number(length) / 2));
  });
  if (trims.length > 0) await orUnavailable(trims.exec());
}
