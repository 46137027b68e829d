import { McpctlError } from '../../errors.ts';
import type { Ending } from '../../task/outcome.ts';
import { settledEvent } from '../../task/settled-event.ts';
import type { TaskRow } from '../../task/task.ts';
import { refOf, type FlowDeps } from '../deps.ts';
import { answerOfEnd, type Ended } from './answer.ts';
import { errorReasonIn } from './error-reason.ts';

/**
 * Writes the outcome of an ended stream into the row, and of a turn its answer into the thread, in one statement.
 * @returns what the row says: when somebody was quicker, or a cancel had won, that is another outcome than the one brought.
 * @throws McpctlError `unavailable` when Postgres is away: the scheduler will settle it.
 */
export async function settleTask(flow: FlowDeps, task: Ended, ending: Ending): Promise<TaskRow> {
  const { registry, dispatch, bus, by } = flow;
  const reason = errorReasonIn(ending.outcome);
  const answer = task.turnId === null ? null : await answerOfEnd(flow, task, ending);
  const settled = await registry.tasks.settle(task.id, ending, { reason, answer });
  const row = settled ?? (await registry.tasks.byId(task.id));
  if (settled) bus.emit('task.settled', settledEvent(settled, by));
  // Best effort: the settle duty strikes what is left.
  void dispatch.forgetEnded(refOf(task)).catch(() => undefined);
  if (!row) throw new McpctlError('task_not_found');
  return row;
}
