import type { Assembled } from '../../../core/agent/assemble.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { closeTask } from '../../../core/flow/end/cancel.ts';
import { closeRow } from '../../../core/flow/end/settle.ts';
import { tagOf, type Attempt } from '../../../core/queue/task/attempt.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import { answerGone } from './row-end.ts';
import { errorOfRow } from './settle.ts';

/**
 * The claim that an answer has shown is gone: Redis lost it, and the task begins anew, or has. Its caller hears that it has
 * failed, so it must not complete behind their back: who says `worker_lost` ends the row first.
 * @param saw what its caller was shown, of a turn the text too: that is what its thread keeps.
 * @returns what to tell the caller: how the row ended otherwise; `gone` where it has completed, by another run or this one;
 *   `unavailable` while neither store can be told, so that it may complete yet.
 */
export async function endLost(
  deps: EdgeDeps,
  row: TaskRow,
  { shown, inHand }: { shown?: Attempt | null; inHand?: Assembled | undefined } = {},
): Promise<McpctlError> {
  const lost = new McpctlError('worker_lost', undefined, { taskId: row.id });
  const how = { status: 'error', code: lost.code, message: lost.message } as const;
  const notEnded = (thrown: unknown): undefined => {
    deps.log.warn(
      { taskId: row.id, why: messageOf(thrown) },
      'a task whose answer was lost is not ended yet',
    );
  };
  const closed = await closeTask(flowOf(deps), row, { mode: 'cancel', ...how, inHand }).catch(notEnded);
  const now = typeof closed === 'object' ? closed : await closeByRow().catch(notEnded);
  if (!now) return new McpctlError('unavailable', undefined, { taskId: row.id });
  if (now.status !== 'completed') return errorOfRow(deps, now) ?? lost;
  // Who reads slower than what has ended is kept has lost its rest, and no more.
  const isShown = Boolean(shown?.tag) && shown?.tag === tagOf(now.claimId ?? '');
  return isShown ? answerGone(now) : answeredAnew(row);

  // The new claim is over already, and for a moment its end is this edge's to settle; or Redis, which has just gone back,
  // is away again, and the row alone can say so.
  async function closeByRow(): Promise<TaskRow | undefined> {
    const mine = await closeRow(flowOf(deps), row.id, { ...how, answer: inHand });
    return mine ?? (await deps.registry.tasks.byId(row.id));
  }
}

/** What was shown is not what the task has completed with. */
export function answeredAnew({ id }: Pick<TaskRow, 'id'>): McpctlError {
  const message =
    'What was shown of the answer was lost with Redis, and the task has completed with another; get the task, or read its stream from the beginning.';
  return new McpctlError('gone', message, { taskId: id });
}
