import { assemble } from '../../core/agent/assemble.ts';
import { forgetCall } from '../../core/flow/forget-call.ts';
import type { UnfilledAnswer } from '../../core/registry/threads/unfilled.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const AT_ONCE = 1_000;
const TOGETHER = 100;
/** What Redis, or the row, does not have by then it has no more. */
const FILLED_WITHIN_MS = 3_600_000;
/** How long tasks keep the requests of turns that ended: each holds its whole thread once more. */
const BODY_KEPT_MS = 24 * 3_600_000;

/**
 * Deletes threads whose time is over, by the operator's ceiling or by what their owners said, forgets answers of calls that nobody has come
 * for and nothing is to be kept of, drops old requests of turns, and puts the
 * text into answers whose tasks a scheduler has ended that knows no threads: as long as it is kept. What was answered is weighed, and all
 * threads together, which the bounds on them go by.
 */
export function createThreadsDuty(deps: DutyDeps): Duty {
  const { config, registry, queue, clock, log } = deps;
  const keptMs = config.threadRetentionMs === 0 ? null : config.threadRetentionMs;
  const deleting = new EachItem<string>({
    ...{ name: 'threads', idOf: (id) => id, together: 1, lanes: 1, clock, log },
    act: async ([id = '']) => {
      const tasks = await registry.threads.deleteOutlived(id, keptMs);
      await registry.threads.dropBodies(tasks);
      return 1;
    },
  });
  const dropping = new EachItem<string>({
    ...{ name: 'threads', idOf: (id) => id, together: TOGETHER, lanes: 1, clock, log },
    act: (ids) => registry.threads.dropOldBodies(ids),
  });
  const weighing = new EachItem<string>({
    ...{ name: 'threads', idOf: (id) => id, together: TOGETHER, lanes: 1, clock, log },
    act: (ids) => registry.threads.weigh(ids),
  });
  const forgetting = new EachItem<{ id: string; ownerId: string }>({
    ...{ name: 'threads', idOf: ({ id }) => id, together: 1, lanes: 1, clock, log },
    act: async ([call]) => {
      if (call) await forgetCall(deps, call);
      return 1;
    },
  });
  const filling = new EachItem<UnfilledAnswer>({
    ...{ name: 'threads', idOf: ({ id }) => id, together: 1, lanes: 1, clock, log },
    act: async ([answer]) => {
      if (!answer) return 0;
      const { taskId, poolName: poolKey, claimId, responseBody } = answer;
      const what =
        responseBody === null
          ? await queue.dispatch.answerOf({ taskId, poolKey }, claimId ?? '')
          : assemble(taskId, [responseBody]);
      const isThere = what.content !== '' || what.reasoning !== null || what.toolCalls !== null;
      return isThere ? await registry.threads.fill(answer, what) : 0;
    },
  });
  return {
    name: 'threads',
    everyMs: config.sweepMs,
    async run(signal) {
      const over = await registry.threads.outlived(keptMs, AT_ONCE + deleting.resting);
      const deleted = await deleting.run(over, signal);
      const uncollected = await registry.threads.uncollectedPassing(AT_ONCE + forgetting.resting);
      const forgotten = await forgetting.run(uncollected, signal);
      const old = await registry.threads.withOldBodies(BODY_KEPT_MS, AT_ONCE + dropping.resting);
      const dropped = await dropping.run(old, signal);
      const empty = await registry.threads.unfilled(FILLED_WITHIN_MS, AT_ONCE + filling.resting);
      const filled = await filling.run(empty, signal);
      const since = await registry.threads.unweighed(AT_ONCE + weighing.resting);
      const weighed = await weighing.run(since, signal);
      if (!signal.aborted) await registry.threads.weighAll();
      return announced(deps, 'threads', deleted, forgotten, dropped, filled, { ...weighed, did: 0 });
    },
  };
}
