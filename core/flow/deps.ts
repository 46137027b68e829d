import type { Dispatch } from '../queue/task/dispatch.ts';
import type { TaskRef } from '../queue/task/fence.ts';
import type { Registry } from '../registry/registry.ts';
import type { Bus } from '../runtime/bus.ts';
import type { TaskRow } from '../task/task.ts';

/**
 * What moves a task through both Postgres and Redis. Edge and scheduler do the same steps, at the same time
 * and more than once; each step is a compare-and-set in both, so that the order of the two decides nothing.
 */
export interface FlowDeps {
  registry: Pick<Registry, 'tasks'>;
  dispatch: Dispatch;
  bus: Bus;
  /** Who acts, for the events. */
  by: 'edge' | 'scheduler';
}

export function refOf(row: Pick<TaskRow, 'id' | 'poolName'>): TaskRef {
  return { taskId: row.id, poolKey: row.poolName };
}

/** The code that the task's job fails with on the board; undefined where it ended otherwise, or has not ended. */
export function failureOf({ status, errorCode }: Pick<TaskRow, 'status' | 'errorCode'>): string | undefined {
  return status === 'error' ? (errorCode ?? undefined) : undefined;
}
