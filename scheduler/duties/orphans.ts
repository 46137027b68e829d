import { cancelled } from '../../core/flow/end/cancel.ts';
import { closeMany } from '../../core/flow/end/close-many.ts';
import { WAITER_LEASE_MS } from '../../core/queue/task/waiters.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { forListed } from '../listed.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const TOGETHER = 200;
const EVERY_MS = 1_000;
/** A look that came later than this may have been held up by what holds up the renewals too. */
const STEADY_MS = 3_000;

/**
 * Cancels tasks that end with their callers, when the last one has been gone for long enough: their edge died,
 * or their grace is over. Whether that is still so is compared once more as the task is closed. After Redis was
 * away or this leader was, nobody could renew: then everybody has a lease's time to do so first.
 */
export function createOrphansDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow, clock, log } = deps;
  let lastLook = -Infinity;
  let trustFrom = 0;
  const lookAnew = (): void => void (lastLook = -Infinity);
  queue.server.onReady(lookAnew);
  queue.steps.onStep(lookAnew); // who waits says so in the new time
  flow.bus.on('redis.went_back', lookAnew); // so did the leases of those who wait

  const { status, code, message } = cancelled;
  const each = new EachItem<{ id: string; poolName: string }>({
    name: 'orphans',
    idOf: ({ id }) => id,
    act: (tasks) => closeMany(flow, tasks, { mode: 'orphan', status, code, message }),
    giveUp: async ({ id, poolName }) => {
      await registry.tasks.close(id, { status, code, message });
      await queue.lists.strike({ index: 'orphans', refs: [{ taskId: id, poolKey: poolName }] });
    },
    together: TOGETHER,
    lanes: 2,
    clock,
    log,
  });
  return {
    name: 'orphans',
    everyMs: EVERY_MS,
    async run(signal) {
      const before = clock.elapsed();
      if (before - lastLook > EVERY_MS + STEADY_MS) trustFrom = before + WAITER_LEASE_MS;
      const heard = queue.steps.read();
      const upTo = await queue.server.now(); // a look that fails is none
      lastLook = clock.elapsed();
      heard(upTo);
      if (before < trustFrom || queue.steps.isBlind()) return 0;
      const round = await forListed(deps, { index: 'orphans', upTo, signal }, (refs) =>
        each.run(
          refs.map(({ taskId, poolKey }) => ({ id: taskId, poolName: poolKey })),
          signal,
        ),
      );
      return announced(deps, 'orphans', round);
    },
  };
}
