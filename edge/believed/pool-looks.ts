import type { Liveness, LivePool } from '../../core/flow/alive/liveness.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { Recent } from './recent.ts';

/** A pool as it was at most a moment ago. */
export type LookAtPool = (poolKey: string) => Promise<LivePool>;

/** Callers look every two seconds. */
const KEPT_MS = 500;
const MOST = 10_000;

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
  const looks = new Recent<LivePool>({ clock, keptMs: KEPT_MS, most: MOST });
  return (poolKey) => looks.recall(poolKey) ?? looks.remember(poolKey, liveness.loadPool(poolKey));
}
