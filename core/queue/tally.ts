import type { Redis } from 'ioredis';
import { orUnavailable } from './connect.ts';
import type { Keys } from './keys.ts';

/** How one duty of the scheduler has fared, over all leaders since Redis was last empty. */
export interface DutyTally {
  duty: string;
  ok: number;
  failed: number;
  /** How much it found to do, in its own units. */
  did: number;
  /** Unix time in milliseconds; 0 = never. */
  lastOkMs: number;
}

const counters = ['ok', 'failed', 'did'] as const;

/** Adds what happened since the last call. The scheduler has no port of its own: whoever is scraped reads it here. */
export async function addTally(redis: Redis, keys: Keys, tallies: readonly DutyTally[]): Promise<void> {
  const pipeline = redis.pipeline();
  for (const tally of tallies) {
    for (const counter of counters)
      if (tally[counter] > 0) pipeline.hincrby(keys.duties, `${tally.duty} ${counter}`, tally[counter]);
    if (tally.lastOkMs > 0) pipeline.hset(keys.duties, `${tally.duty} at`, tally.lastOkMs);
  }
  await orUnavailable(pipeline.exec());
}

/** @throws McpctlError `unavailable`. */
export async function readTally(redis: Redis, keys: Keys): Promise<DutyTally[]> {
  const all = await orUnavailable(redis.hgetall(keys.duties));
  const duties = new Set(Object.keys(all).map((field) => field.split(' ', 1)[0] ?? ''));
  return [...duties].map((duty) => ({
    duty,
    ok: Number(all[`${duty} ok`] ?? 0),
    failed: Number(all[`${duty} failed`] ?? 0),
    did: Number(all[`${duty} did`] ?? 0),
    lastOkMs: Number(all[`${duty} at`] ?? 0),
  }));
}
