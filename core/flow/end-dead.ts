import { storedIdSchema, shownInLine } from '../names.ts';
import { rowEpochOf, type Fence } from '../queue/task/fence.ts';
import { pause } from '../runtime/clock.ts';
import { isTerminal } from '../task/task.ts';
import { refOf, type FlowDeps } from './deps.ts';
import { renewFence, requeueTask } from './requeue.ts';
import type { LostClaim } from '../registry/tasks/task-ends.ts';

/** Deaths that one task may cause before it is given up. */
const POISON = 3;
/** Between the two halves of a requeue. */
const REQUEUED_WITHIN_MS = 200;

/**
 * Decides about the claim of a dead worker: what nobody has seen anything of starts over elsewhere and counts a
 * crash, the third ends it `poison_task`; what was shown ends `worker_lost`. Done twice, or by two, it changes nothing.
 * @param fence as it was when its worker was found dead.
 * @param why for the log of attempts.
 * @param counts `none`: it was never heard of, so it may never have arrived, or its worker was put out; nobody's crash.
 * @param lastWord what callers hear who were shown something; that the worker was lost, unless told.
 * @returns `over`: there is nothing to decide, its task has ended; `moved`: somebody else was quicker.
 */
export async function endDeadClaim(
  deps: FlowDeps,
  {
    taskId,
    poolKey,
    fence,
    why,
    counts = 'crash',
    lastWord = 'The worker was lost while it answered.',
  }: {
    taskId: string;
    poolKey: string;
    fence: Fence;
    why: string;
    counts?: 'crash' | 'none';
    lastWord?: string;
  },
): Promise<'requeued' | 'ended' | 'moved' | 'over'> {
  const { registry, dispatch } = deps;
  // What stands in a pool's keys says nothing about others' tasks, nor about what is no task.
  const row = storedIdSchema.safeParse(taskId).success ? await registry.tasks.byId(taskId) : undefined;
  if (!row || row.poolName !== poolKey || isTerminal(row.status)) return 'over';
  const lostWith = async (code: string, message: string): Promise<'ended' | 'moved'> => {
    const ended = await dispatch.endFor(refOf(row), fence.claim, { kind: 'failed', code, message });
    return ended ? 'ended' : 'moved';
  };
  const whileShown = (): Promise<'ended' | 'moved'> => lostWith('worker_lost', lastWord);
  // Somebody else counted this death, and is about to requeue the task; or died before that. Then that epoch may have
  // been laid down and lost since, so it is not used again.
  if (rowEpochOf(fence) < row.epoch && fence.shown === '') {
    await pause(REQUEUED_WITHIN_MS);
    if (!(await dispatch.isStill(refOf(row), fence))) return 'moved';
    const renewed = await registry.tasks.nextEpoch(row.id, row.epoch);
    if (renewed === null) return 'moved';
    return (await renewFence(deps, { row: renewed, fence })) === 'ok' ? 'requeued' : 'moved';
  }
  if (fence.shown !== '') return await whileShown();
  if (counts === 'crash' && row.crashes + 1 >= POISON) {
    return await lostWith(
      'poison_task',
      'Three workers died while they ran this task; it is not tried again.',
    );
  }
  const lost = lostClaim(fence, { counts, reason: `worker lost (${why})` });
  const answer = await requeueTask(deps, { row, fence, lost });
  if (answer === 'shown') return await whileShown();
  return answer === 'ok' ? 'requeued' : 'moved';
}

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
