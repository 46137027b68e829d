import { settleTask } from '../../core/flow/settle.ts';
import { readLast } from '../../core/queue/stream.ts';
import type { Duty, DutyDeps } from './duty.ts';

/** The waiting edge settles its own at once; what is older has no edge any more. */
const EDGE_HAS_MS = 2_500;
const MOST = 500;

/** Settles ended tasks whose edge did not: it died, its caller had left, or Postgres was away. */
export function createSettleDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow } = deps;
  const settlePool = async (poolKey: string): Promise<number> => {
    const pool = queue.keys.pool(poolKey);
    const [seconds] = await queue.redis.time();
    const ids = await queue.redis.zrangebyscore(
      pool.ended,
      0,
      Number(seconds) * 1_000 - EDGE_HAS_MS,
      'LIMIT',
      0,
      MOST,
    );
    const open = await registry.tasks.openAmong(ids);
    let did = 0;
    for (const taskId of ids) {
      const ref = { taskId, poolKey };
      const last = open.has(taskId) ? await readLast(queue.redis, pool.task(taskId).stream) : null;
      if (last?.kind === 'end') {
        await settleTask(flow, ref, last.ending);
        did += 1;
      } else if (!open.has(taskId) || last === null) await queue.dispatch.forgetEnded(ref);
    }
    return did;
  };
  return {
    name: 'settle',
    everyMs: 1_000,
    async run(signal) {
      let did = 0;
      for (const poolKey of await registry.tasks.openPools()) {
        if (signal.aborted) break;
        did += await settlePool(poolKey);
      }
      return did;
    },
  };
}
