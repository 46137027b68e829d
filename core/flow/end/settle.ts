import { McpctlError } from '../../errors.ts';
import type { Ending } from '../../task/outcome.ts';
import type { TaskRef } from '../../queue/task/fence.ts';
import { settledEvent } from '../../task/settled-event.ts';
import type { TaskRow } from '../../task/task.ts';
import type { FlowDeps } from '../deps.ts';
import { errorReasonIn } from './error-reason.ts';

/**
 * Writes the outcome of an ended stream into the row. @returns what the row says: when somebody was quicker,
 * or a cancel had won, that is another outcome than the one brought.
 * @throws McpctlError `unavailable` when Postgres is away: the scheduler will settle it.
 */
export async function settleTask(
  { registry, dispatch, bus, by }: FlowDeps,
  ref: TaskRef,
  ending: Ending,
): Promise<TaskRow> {
  const settled = await registry.tasks.settle(ref.taskId, ending, errorReasonIn(ending.outcome));
  const row = settled ?? (await registry.tasks.byId(ref.taskId));
  if (settled) bus.emit('task.settled', settledEvent(settled, by));
  // Best effort: the settle duty strikes what is left.
  void dispatch.forgetEnded(ref).catch(() => undefined);
  if (!row) throw new McpctlError('task_not_found');
  return row;
}
