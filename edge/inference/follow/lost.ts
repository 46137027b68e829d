import type { Assembled } from '../../../core/agent/assemble.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { closeTask } from '../../../core/flow/end/cancel.ts';
import { closeRow } from '../../../core/flow/end/settle.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import { errorOfRow } from './settle.ts';

/**
 * The claim that an answer has shown is gone: Redis lost it, and the task began anew. Its caller hears that it has
 * failed, so it must not complete behind their back: who says `worker_lost` ends the row first.
 * @param inHand of a turn what its caller was shown: that is what its thread keeps.
 * @returns what to tell the caller; when the row ended otherwise, that.
 */
export async function endLost(deps: EdgeDeps, row: TaskRow, inHand?: Assembled): Promise<McpctlError> {
  const lost = new McpctlError('worker_lost', undefined, { taskId: row.id });
  const how = { status: 'error', code: lost.code, message: lost.message } as const;
  const notEnded = (thrown: unknown): undefined => {
    deps.log.warn(
      { taskId: row.id, why: messageOf(thrown) },
      'a task whose answer was lost is not ended yet',
    );
  };
  const closed = await closeTask(flowOf(deps), row, { mode: 'cancel', ...how, inHand }).catch(notEnded);
  if (typeof closed === 'object') return errorOfRow(deps, closed) ?? lost;
  // The new claim is over already, and for a moment its end is this edge's to settle; or Redis, which has just gone back,
  // is away again, and the row alone can say so.
  await closeRow(flowOf(deps), row.id, { ...how, answer: inHand }).catch(notEnded);
  return lost;
}
