import type { Fence } from '../queue/fence.ts';
import type { LostClaim } from '../registry/task-ends.ts';

/** What is written down of the claim that a fence names, when it comes to nothing. */
export function lostClaim(fence: Fence, { counts, reason }: Pick<LostClaim, 'counts' | 'reason'>): LostClaim {
  return {
    counts,
    llmId: fence.llm,
    session: fence.session,
    startedAt: fence.claimedAt === undefined ? null : new Date(fence.claimedAt),
    reason,
  };
}
