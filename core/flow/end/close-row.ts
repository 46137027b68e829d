import type { RowClosing } from '../../registry/tasks/task-ends.ts';
import { settledEvent } from '../../task/settled-event.ts';
import type { TaskRow } from '../../task/task.ts';
import type { FlowDeps } from '../deps.ts';

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
