import type { GoneQueue } from '../../core/registry/gone-queues.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** Of a turn, as far as its time goes: llms are deleted by the hundred in one request. */
const MOST = 5_000;
const BUDGET_MS = 20_000;

/**
 * Removes what is left in Redis of the queues of llms that are gone, and of pools that have no llm and no task any
 * more: everything else of them expires by itself. Which those are is a list in Postgres: nothing is searched for.
 */
export function createClearQueuesDuty(deps: DutyDeps): Duty {
  const { config, registry, queue, flow, clock, log } = deps;
  const { jobs } = queue;

  const clear = async ([gone]: readonly GoneQueue[]): Promise<number> => {
    if (!gone) return 0;
    const { poolKey } = gone;
    const isUsed = (await registry.goneQueues.usedPools([poolKey])).has(poolKey);
    const own = await jobs.forgetQueue(gone);
    const isPoolGone = async (): Promise<boolean> =>
      (await jobs.forgetQueue({ poolKey })) && (await jobs.forgetPool(poolKey));
    const whole = own && (isUsed || (await isPoolGone()));
    if (whole) await registry.goneQueues.forget([gone]);
    // Jobs stand in it: they end first (expire, clear-jobs).
    else await registry.goneQueues.postpone([gone]);
    return whole ? 1 : 0;
  };
  const each = new EachItem<GoneQueue>({
    name: 'clear-queues',
    idOf: ({ poolKey, llmId }) => `${poolKey} ${llmId}`,
    act: clear,
    budgetMs: BUDGET_MS,
    clock,
    log,
  });
  return {
    name: 'clear-queues',
    everyMs: config.sweepMs,
    async run(signal) {
      const round = await each.run(await registry.goneQueues.list(MOST + each.resting), signal);
      if (round.did > 0) flow.bus.emit('scheduler.removed', { kind: 'queue', count: round.did });
      return announced(deps, 'clear-queues', round);
    },
  };
}
