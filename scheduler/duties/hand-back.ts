import { takeBack } from '../../core/flow/take-back.ts';
import { readFences } from '../../core/queue/fence.ts';
import { forOpenPools } from '../open-pools.ts';
import type { Duty, DutyDeps } from './duty.ts';

const MOST = 200;

/**
 * Takes up what workers handed back. An edge whose caller waits does the same at once; this is for tasks that
 * nobody waits for.
 */
export function createHandBackDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow } = deps;
  const requeuePool = async (poolKey: string): Promise<number> => {
    const { back } = queue.keys.pool(poolKey);
    const ids = await queue.redis.zrange(back, '0', String(MOST - 1));
    const fences = await readFences(
      queue.redis,
      queue.keys,
      ids.map((taskId) => ({ taskId, poolKey })),
    );
    // Whoever writes in this pool's keys decides about its tasks alone.
    const open = await registry.tasks.openAmong(ids, poolKey);
    let did = 0;
    for (const [i, id] of ids.entries()) {
      const fence = fences[i];
      const row = open.has(id) ? await registry.tasks.byId(id) : undefined;
      if (row && fence?.state === 'released') {
        if ((await takeBack(flow, { row, fence })) !== 'moved') did += 1;
      } else await queue.redis.zrem(back, id); // taken up by somebody else, or over
    }
    return did;
  };
  return {
    name: 'hand-back',
    everyMs: 500,
    run: (signal) => forOpenPools(registry, signal, requeuePool),
  };
}
