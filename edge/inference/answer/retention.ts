import type { Response } from 'express';
import { messageOf } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';

/**
 * `x-mcpctl-retention: none`: once the last byte of this answer was handed over, the task's bodies go from its
 * row and its events from Redis, where it is its owner who has it now. What fails here, and what nobody came for, the
 * prune duty does. A task that has not ended keeps them.
 */
export function dropOnceDelivered(
  deps: EdgeDeps,
  row: Pick<TaskRow, 'id' | 'poolName' | 'retention' | 'ownerId'>,
  res: Response,
): void {
  if (row.retention !== 'none' || row.ownerId !== actorOf(res.req).userId) return;
  const drop = async (): Promise<void> => {
    try {
      if (await deps.registry.tasks.dropBodies(row.id)) await deps.queue.dispatch.forgetEvents(refOf(row));
    } catch (thrown) {
      deps.log.warn(
        { taskId: row.id, why: messageOf(thrown) },
        'a delivered answer is not dropped yet; the prune duty will',
      );
    }
  };
  if (res.writableFinished) void drop();
  else res.once('finish', () => void drop());
}
