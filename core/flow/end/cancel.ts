import type { CloseMode } from '../../queue/task/closing.ts';
import type { Assembled } from '../../agent/assemble.ts';
import type { LostClaim } from '../../registry/tasks/task-ends.ts';
import type { Outcome } from '../../task/outcome.ts';
import type { ToldReason } from '../../task/error-reason.ts';
import type { TaskRow } from '../../task/task.ts';
import { answerOfClose, type Ended } from './answer.ts';
import { closeRow, errorReasonIn } from './settle.ts';
import { failureOf, refOf, type FlowDeps } from '../deps.ts';

export interface Closing {
  mode: CloseMode;
  status: 'cancelled' | 'error';
  code: string;
  message: string;
  /** Seconds after which the same may succeed. */
  retryAfterS?: number | undefined;
  /** What a backend said beside the sentence. */
  reason?: ToldReason;
  /** The attempt that made it end. */
  lost?: LostClaim;
  /** Of a turn what its caller was shown, where Redis may have lost it. */
  inHand?: Assembled | null | undefined;
}

export const cancelled: Closing = {
  mode: 'cancel',
  status: 'cancelled',
  code: 'task_cancelled',
  message: 'The task was cancelled.',
};

/**
 * Ends a task from outside, in whatever phase it is: the fence first, so that nobody can speak for it any
 * more, then the row (which decides a race with a settle), then the job or the worker is told.
 * @returns the row as it stands; `claimed` when an expire came too late, `attached` when it is
 * no orphan. Done twice it changes nothing.
 */
export async function closeTask(
  flow: FlowDeps,
  task: Ended,
  { mode, status, code, message, retryAfterS, reason, lost, inHand }: Closing,
): Promise<TaskRow | 'claimed' | 'ended' | 'attached' | undefined> {
  const { registry, dispatch, bus } = flow;
  const ref = refOf(task);
  const outcome: Outcome =
    status === 'cancelled'
      ? { kind: 'cancelled', code, message }
      : {
          kind: 'failed',
          code,
          message,
          ...(retryAfterS === undefined ? {} : { retryAfterS }),
          ...(reason === undefined ? {} : { reason }),
        };
  const answer = await dispatch.close(ref, mode, outcome);
  if (answer.kind !== 'closed') return answer.kind;
  // Without a claim that came to nothing, the one that was cut short is the row's.
  const claim = lost || answer.claim === '' ? undefined : answer;
  const errorReason = errorReasonIn(outcome);
  const shown = inHand ?? (task.turnId === null ? null : await answerOfClose(flow, task, answer));
  const row = await closeRow(flow, task.id, {
    status,
    code,
    message,
    errorReason,
    lost,
    claim,
    answer: shown,
  });
  const now = row ?? (await registry.tasks.byId(task.id));
  // Best effort: a worker that is not told learns it from its next beat, a job that stays is found closed.
  await dispatch.withdraw(ref, answer, now && failureOf(now)).catch(() => undefined);
  if (row && status === 'cancelled') bus.emit('task.cancelled', { taskId: task.id });
  return now;
}
