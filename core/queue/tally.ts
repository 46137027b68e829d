import type { Redis } from 'ioredis';
import { orUnavailable } from './link/connect.ts';
import type { Keys } from './keys.ts';

/** How one duty of the scheduler has fared, over all leaders since Redis was last empty. */
export interface DutyTally {
  duty: string;
  ok: number;
  failed: number;
  /** How much it found to do, in its own units. */
  did: number;
  /** What it left when its budget was spent, what failed and rests, and what it ended as it never worked. */
  left: number;
  isolated: number;
  ended: number;
  /** Unix time in milliseconds; 0 = never. */
  lastOkMs: number;
}

/** What the scheduler counts beside its duties. */
export interface Counted {
  /** `removed`: what a duty deleted; `settled`: tasks it ended; `tokens`: of those. */
  what: 'removed' | 'settled' | 'tokens';
  /** One of few: the kind of thing, the status, the type. */
  by: string;
  count: number;
}

export interface SchedulerTally {
  duties: DutyTally[];
  counted: Counted[];
}

const counters = ['ok', 'failed', 'did', 'left', 'isolated', 'ended'] as const;
const whats = ['removed', 'settled', 'tokens'] as const satisfies readonly Counted['what'][];

/** Adds what happened since the last call. The scheduler needs no port of its own: whoever is scraped reads it here. */
export async function addTally(redis: Redis, keys: Keys, { duties, counted }: SchedulerTally): Promise<void> {
  const pipeline = redis.pipeline();
  for (const tally of duties) {
    for (const counter of counters)
      if (tally[counter] > 0) pipeline.hincrby(keys.duties, `${tally.duty} ${counter}`, tally[counter]);
    if (tally.lastOkMs > 0) pipeline.hset(keys.duties, `${tally.duty} at`, tally.lastOkMs);
  }
  for (const { what, by, count } of counted) pipeline.hincrby(keys.duties, `${what}:${by}`, count);
  await orUnavailable(pipeline.exec());
}

/** @throws McpctlError `unavailable`. */
export async function readTally(redis: Redis, keys: Keys): Promise<SchedulerTally> {
  const all = await orUnavailable(redis.hgetall(keys.duties));
  const names = Object.keys(all).filter((field) => field.includes(' '));
  const duties = [...new Set(names.map((field) => field.split(' ', 1)[0] ?? ''))].map((duty) => ({
    duty,
    ok: Number(all[`${duty} ok`] ?? 0),
    failed: Number(all[`${duty} failed`] ?? 0),
    did: Number(all[`${duty} did`] ?? 0),
    left: Number(all[`${duty} left`] ?? 0),
    isolated: Number(all[`${duty} isolated`] ?? 0),
    ended: Number(all[`${duty} ended`] ?? 0),
    lastOkMs: Number(all[`${duty} at`] ?? 0),
  }));
  const counted = Object.entries(all).flatMap(([field, count]): Counted[] => {
    const [name = '', by] = field.split(':', 2);
    const what = whats.find((kind) => kind === name);
    return what === undefined || by === undefined ? [] : [{ what, by, count: Number(count) }];
  });
  return { duties, counted };
}
