import type { Liveness, LivePool } from '../core/flow/liveness.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** A pool as it was at most a moment ago. */
export type LookAtPool = (poolKey: string) => Promise<LivePool>;

/** Callers look every two seconds. */
const KEPT_MS = 500;

/**
 * One look at a pool for all callers of this edge who wait in it: hundreds may wait for one backend to wake, and each
 * asks again and again whether somebody is there.
 */
export function createPoolLooks({
  liveness,
  clock,
}: {
  liveness: Pick<Liveness, 'loadPool'>;
  clock: Clock;
}): LookAtPool {
  const looks = new Map<string, { at: number; pool: Promise<LivePool> }>();
  return (poolKey) => {
    const now = clock.elapsed();
    const known = looks.get(poolKey);
    if (known && now - known.at < KEPT_MS) return known.pool;
    for (const [key, { at }] of looks) if (now - at >= KEPT_MS) looks.delete(key);
    const pool = liveness.loadPool(poolKey);
    looks.set(poolKey, { at: now, pool });
    // One that failed is told to those who asked for it; the next asks anew.
    pool.catch(() => looks.delete(poolKey));
    return pool;
  };
}
