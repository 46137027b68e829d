import { shownInLine } from '../names.ts';
import type { Fence } from '../queue/task/fence.ts';
import type { LostClaim } from '../registry/tasks/task-ends.ts';

/** What is written down of the claim that a fence names, when it comes to nothing. */
export function lostClaim(
  fence: Fence,
  { counts, reason, errorReason }: Pick<LostClaim, 'counts' | 'reason' | 'errorReason'>,
): LostClaim {
  return {
    counts,
    llmId: idIn(fence.llm),
    session: idIn(fence.session),
    startedAt: fence.claimedAt === undefined ? null : new Date(fence.claimedAt),
    reason,
    errorReason: errorReason ?? null,
  };
}

const LONGEST_ID = 64;

/** A session that holds Redis writes its fences, and people read what is written down of them. */
const idIn = (text: string): string => shownInLine(text).slice(0, LONGEST_ID);
