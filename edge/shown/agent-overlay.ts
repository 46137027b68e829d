import type { LivePool } from '../../core/flow/alive/liveness.ts';
import { isServed } from '../../core/flow/alive/served.ts';
import { sleepersIn } from '../../core/flow/alive/sleepers.ts';
import type { Overlay } from '../resources/overlay.ts';

/** @param pinId the one llm that may run it; null = any member of the pool. */
export function statusIn(
  pool: LivePool | undefined,
  pinId: string | null,
): 'active' | 'hibernating' | 'inactive' {
  if (!pool) return 'inactive';
  if (isServed(pool, pinId)) return 'active';
  return sleepersIn(pool, pinId).length > 0 ? 'hibernating' : 'inactive';
}

/** An agent is in the pool that its llm is in now, and there while somebody serves that, or can be woken to. */
export const agentOverlay: Overlay = async (rows, { registry, liveness }) => {
  const names = new Set(rows.map(({ values }) => String(values['llm'])));
  const llms = await registry.llms.byNames([...names]);
  const pools = await liveness.loadPools([...new Set(llms.map(({ poolKey }) => poolKey))]);
  const poolOf = new Map(llms.map(({ id, poolKey }) => [id, pools.find(({ key }) => key === poolKey)]));
  return rows.map(({ values, refersTo: { llm = null } }) => {
    const pool = poolOf.get(llm ?? '');
    return { status: statusIn(pool, values['pinMode'] === 'only' ? llm : null), pool: pool?.key ?? '' };
  });
};
