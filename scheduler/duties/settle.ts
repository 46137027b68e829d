import { settleTask } from '../../core/flow/settle.ts';
import { redisNow } from '../../core/queue/redis-time.ts';
import { readLast } from '../../core/queue/stream.ts';
import { forOpenPools } from '../open-pools.ts';
import type { Duty, DutyDeps } from './duty.ts';

/** The waiting edge settles its own at once; what is older has no edge any more. */
const EDGE_HAS_MS = 2_500;
const MOST = 500;

/** Settles ended tasks whose edge did not: it died, its caller had left, or Postgres was away. */
export function createSettleDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow } = deps;
  const settlePool = async (poolKey: string): Promise<number> => {
    const pool = queue.keys.pool(poolKey);
    const before = (await redisNow(queue.redis)) - EDGE_HAS_MS;
    const ids = await queue.redis.zrangebyscore(pool.ended, 0, before, 'LIMIT', 0, MOST);
    const open = await registry.tasks.openAmong(ids, poolKey);
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
    run: (signal) => forOpenPools(registry, signal, settlePool),
  };
}
