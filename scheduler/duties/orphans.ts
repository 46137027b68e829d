import { cancelled, closeTask } from '../../core/flow/cancel.ts';
import { redisNow } from '../../core/queue/redis-time.ts';
import { WAITER_LEASE_MS } from '../../core/queue/waiters.ts';
import { forOpenPools } from '../open-pools.ts';
import type { Duty, DutyDeps } from './duty.ts';

const MOST = 200;
const EVERY_MS = 1_000;
/** A look that came later than this may have been held up by what holds up the renewals too. */
const STEADY_MS = 3_000;

/**
 * Cancels tasks that end with their callers, when the last one has been gone for long enough: their edge died,
 * or their grace is over. Whether that is still so is compared once more as the task is closed. After Redis was
 * away or this leader was, nobody could renew: then everybody has a lease's time to do so first.
 */
export function createOrphansDuty({ queue, registry, flow, clock }: DutyDeps): Duty {
  let lastLook = -Infinity;
  let trustFrom = 0;
  const lookAnew = (): void => void (lastLook = -Infinity);
  queue.redis.on('ready', lookAnew);
  flow.bus.on('redis.went_back', lookAnew); // so did the leases of those who wait

  const cancelIn = async (poolKey: string): Promise<number> => {
    const now = await redisNow(queue.redis);
    const overdue = await queue.redis.zrangebyscore(
      queue.keys.pool(poolKey).orphans,
      0,
      now,
      'LIMIT',
      0,
      MOST,
    );
    let did = 0;
    for (const id of overdue) {
      const closed = await closeTask(flow, { id, poolName: poolKey }, { ...cancelled, mode: 'orphan' });
      if (closed !== 'attached' && closed !== 'ended') did += 1;
    }
    return did;
  };
  return {
    name: 'orphans',
    everyMs: EVERY_MS,
    async run(signal) {
      const before = clock.elapsed();
      if (before - lastLook > EVERY_MS + STEADY_MS) trustFrom = before + WAITER_LEASE_MS;
      await redisNow(queue.redis); // a look that fails is none
      lastLook = clock.elapsed();
      return before < trustFrom ? 0 : await forOpenPools(registry, signal, cancelIn);
    },
  };
}
