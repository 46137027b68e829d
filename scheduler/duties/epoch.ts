import { redisNow } from '../../core/queue/redis-time.ts';
import type { Duty, DutyDeps } from './duty.ts';

/**
 * Marks a Redis that is new or came back empty with the time: while the mark is younger than a lease, a missing
 * key proves nothing and Postgres decides who is live (SPEC §2). Everyone reads it, only the leader sets it.
 * @param refill what is done at once then: the reconciler would come round to it in five seconds.
 */
export function createEpochDuty({ queue }: DutyDeps, refill: Pick<Duty, 'run'>): Duty {
  return {
    name: 'epoch',
    everyMs: 1_000,
    async run(signal) {
      const now = await redisNow(queue.redis);
      const set = await queue.redis.set(queue.keys.epoch, now, 'NX');
      return set === 'OK' ? 1 + (await refill.run(signal)) : 0;
    },
  };
}
