import { closeTask } from '../../core/flow/end/cancel.ts';
import { takeBack } from '../../core/flow/take-back.ts';
import type { TaskRef } from '../../core/queue/task/fence.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { forListed } from '../listed.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const LANES = 8;

/**
 * Takes up what workers handed back. An edge whose caller waits does the same at once; this is for tasks that
 * nobody waits for.
 */
export function createHandBackDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow, clock, log } = deps;
  const requeue = async (ref: TaskRef): Promise<number> => {
    const [fence] = await queue.fences.read([ref]);
    // Whoever writes in this pool's keys decides about its tasks alone.
    const open = await registry.tasks.openAmong([ref.taskId], ref.poolKey);
    const row = open.has(ref.taskId) ? await registry.tasks.byId(ref.taskId) : undefined;
    if (row && fence?.state === 'released') return (await takeBack(flow, { row, fence })) === 'moved' ? 0 : 1;
    await queue.lists.strike({ index: 'back', refs: [ref] }); // taken up by somebody else, or over
    return 0;
  };
  const each = new EachItem<TaskRef>({
    name: 'hand-back',
    idOf: ({ taskId }) => taskId,
    act: async ([ref]) => (ref ? await requeue(ref) : 0),
    giveUp: async ({ taskId, poolKey }, why) => {
      const message = `The task was handed back, and could not be given to another member: ${why}`;
      const closing = { mode: 'cancel', status: 'error', code: 'internal', message } as const;
      await closeTask(flow, { id: taskId, poolName: poolKey }, closing);
    },
    lanes: LANES,
    clock,
    log,
  });
  return {
    name: 'hand-back',
    everyMs: 500,
    async run(signal) {
      const look = { index: 'back', upTo: Infinity, signal } as const;
      return announced(deps, 'hand-back', await forListed(deps, look, (refs) => each.run(refs, signal)));
    },
  };
}
