import type { LivePool } from '../../core/flow/alive/liveness.ts';
import { isServed } from '../../core/flow/alive/served.ts';
import { sleepersIn } from '../../core/flow/alive/sleepers.ts';
import { lookAtPublishers } from '../../core/flow/alive/publishers.ts';
import type { Overlay, OverlayDeps } from '../resources/overlay.ts';

/** @param pinId the one llm that may run it; null = any member of the pool. */
export function statusIn(
  pool: LivePool | undefined,
  pinId: string | null,
): 'active' | 'hibernating' | 'inactive' {
  if (!pool) return 'inactive';
  if (isServed(pool, pinId)) return 'active';
  return sleepersIn(pool, pinId).length > 0 ? 'hibernating' : 'inactive';
}

/** An agent that is shown, or published just now. */
interface Asked {
  id: string;
  llmId: string | null;
  pinMode: string;
}

/**
 * An agent is in the pool that its llm is in now, and there while somebody serves that, or can be woken to; a virtual one
 * while its publisher is there besides.
 */
export async function agentStates(
  { registry, liveness }: OverlayDeps,
  asked: readonly (Asked & { llm: string })[],
) {
  const publishers = await registry.agents.published.publishers(asked.map(({ id }) => id));
  const whyNot = await lookAtPublishers(liveness, [...publishers.values()]);
  const llms = await registry.llms.byNames([...new Set(asked.map(({ llm }) => llm))]);
  const pools = await liveness.loadPools([...new Set(llms.map(({ poolKey }) => poolKey))]);
  const poolOf = new Map(llms.map(({ id, poolKey }) => [id, pools.find(({ key }) => key === poolKey)]));
  return asked.map(({ id, llmId, pinMode }) => {
    const publisher = publishers.get(id);
    const gone = whyNot(publisher);
    const pool = poolOf.get(llmId ?? '');
    const served = statusIn(pool, pinMode === 'only' ? llmId : null);
    const inactiveReason = gone ?? (served === 'inactive' ? 'llm_down' : null);
    return {
      kind: publisher ? 'virtual' : 'public',
      status: gone === null ? served : 'inactive',
      inactiveReason,
      inactiveSince: gone === null ? null : (publisher?.seenAt.toISOString() ?? null),
      pool: pool?.key ?? '',
    };
  });
}

export const agentOverlay: Overlay = async (rows, deps, { userId }) => {
  const [states, uses] = await Promise.all([
    agentStates(
      deps,
      rows.map(({ id, values, refersTo: { llm: llmId = null } }) => {
        return { id, llmId, llm: String(values['llm']), pinMode: String(values['pinMode']) };
      }),
    ),
    deps.registry.threads.usesOf(
      userId,
      rows.map(({ id }) => id),
    ),
  ]);
  return rows.map(({ id }, at) => {
    const use = uses.get(id);
    return { ...states[at], threads: use?.threads ?? 0, lastUsedAt: use?.lastAt.toISOString() ?? null };
  });
};
