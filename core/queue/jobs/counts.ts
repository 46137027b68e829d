import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { isForeign } from '../trouble.ts';

/** How many jobs stand in each list of a queue. The last two are those kept for the board. */
export interface JobCounts {
  waiting: number;
  active: number;
  completed: number;
  failed: number;
}

/** Of many queues (their BullMQ names) in one round trip. @throws McpctlError `unavailable`. */
export async function countJobs(redis: Redis, keys: Keys, names: readonly string[]): Promise<JobCounts[]> {
  const pipeline = redis.pipeline();
  for (const name of names) {
    const key = `${keys.namespace}:${name}`;
    pipeline.llen(`${key}:wait`).zcard(`${key}:prioritized`).llen(`${key}:active`);
    pipeline.zcard(`${key}:completed`).zcard(`${key}:failed`);
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  const at = (index: number): number => Number(answers[index]?.[1] ?? 0);
  return names.map((_, i) => ({
    waiting: at(i * 5) + at(i * 5 + 1),
    active: at(i * 5 + 2),
    completed: at(i * 5 + 3),
    failed: at(i * 5 + 4),
  }));
}

/** Whether a queue has anything in it: `open` waits or runs, `over` has ended and is kept for the board. */
export type JobsSeen = 'open' | 'over' | 'none';

/** The same question asked coarsely, of thousands of queues: two commands each, rather than five. */
export async function seeJobs(redis: Redis, keys: Keys, names: readonly string[]): Promise<JobsSeen[]> {
  const pipeline = redis.pipeline();
  for (const name of names) {
    const key = `${keys.namespace}:${name}`;
    pipeline.exists(`${key}:wait`, `${key}:prioritized`, `${key}:active`);
    pipeline.exists(`${key}:completed`, `${key}:failed`);
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  const any = (index: number): boolean => Number(answers[index]?.[1] ?? 0) > 0;
  return names.map((_, i) => (any(i * 2) ? 'open' : any(i * 2 + 1) ? 'over' : 'none'));
}

/** Whether BullMQ can read a queue: no key of it is of another kind than BullMQ makes it. In one round trip. */
export async function areReadable(redis: Redis, keys: Keys, names: readonly string[]): Promise<boolean[]> {
  const pipeline = redis.pipeline();
  for (const name of names) {
    const key = `${keys.namespace}:${name}`;
    for (const list of lists) pipeline.llen(`${key}:${list}`);
    for (const set of sortedSets) pipeline.zcard(`${key}:${set}`);
    pipeline.hlen(`${key}:meta`);
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  const each = lists.length + sortedSets.length + 1;
  return names.map((_, i) => !answers.slice(i * each, (i + 1) * each).some(([error]) => isForeign(error)));
}

const lists = ['wait', 'active', 'paused'] as const;
const sortedSets = ['prioritized', 'delayed', 'completed', 'failed', 'waiting-children', 'repeat'] as const;
