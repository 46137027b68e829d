import { McpctlError } from '../../errors.ts';
import type { Ending, Outcome } from '../../task/outcome.ts';
import { settledEvent } from '../../task/settled-event.ts';
import type { TaskRow } from '../../task/task.ts';
import { refOf, type FlowDeps } from '../deps.ts';
import { answerOfEnd, type Ended } from './answer.ts';
import { reasonOfBody } from '../../judge/parts/reason.ts';
import { errorReasonOf, type ErrorReason } from '../../task/error-reason.ts';
import type { RowClosing } from '../../registry/tasks/task-ends.ts';

/** What a backend said beside the sentence: it outlives the body that says so. Null: nothing. */
export function errorReasonIn(outcome: Outcome): ErrorReason | null {
  if (outcome.kind !== 'failed') return null;
  const { code, body, reason, retryAfterS } = outcome;
  const isRefusal = code === 'backend_rejected' && body !== undefined;
  return errorReasonOf({ reason: isRefusal ? reasonOfBody(body) : reason, retryAfterS });
}

/**
 * Writes the outcome of an ended stream into the row, and of a turn its answer into the thread, in one statement.
 * @returns what the row says: when somebody was quicker, or a cancel had won, that is another outcome than the one brought.
 * @throws McpctlError `unavailable` when Postgres is away: the scheduler will settle it.
 */
export async function settleTask(flow: FlowDeps, task: Ended, ending: Ending): Promise<TaskRow> {
  const { registry, dispatch, bus, by } = flow;
  const reason = errorReasonIn(ending.outcome);
  const answer = task.turnId === null ? null : await answerOfEnd(flow, task, ending);
  const settled = await registry.tasks.settle(task.id, ending, { reason, answer, row: task.row });
  const row = settled ?? (await registry.tasks.byId(task.id));
  if (settled) bus.emit('task.settled', settledEvent(settled, by));
  // The scheduler would find it again at its next look; an edge strikes it with others.
  if (by === 'scheduler') void dispatch.forgetEnded(refOf(task)).catch(() => undefined);
  else dispatch.struck.settled(refOf(task));
  if (!row) throw new McpctlError('task_not_found');
  return row;
}

/** Ends a row from outside, and tells of it. @returns null when it had ended already. */
export async function closeRow(
  { registry, bus, by }: Pick<FlowDeps, 'registry' | 'bus' | 'by'>,
  id: string,
  how: RowClosing,
): Promise<TaskRow | null> {
  const row = await registry.tasks.close(id, how);
  if (row) bus.emit('task.settled', settledEvent(row, by));
  return row;
}
