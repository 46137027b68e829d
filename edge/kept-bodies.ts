import type { Request } from 'express';
import type { TaskBodies } from '../core/registry/tasks.ts';
import type { EdgeDeps } from './deps.ts';

/**
 * The bodies of a task, for an answer that shows them. Room for them is made sure of before they are fetched: many
 * who ask for the same large one at once would each hold it.
 * @throws McpctlError `too_many_requests`.
 */
export async function keptBodies(
  { registry }: Pick<EdgeDeps, 'registry'>,
  req: Request,
  taskId: string,
): Promise<TaskBodies> {
  req.context.reserveAnswer(await registry.tasks.bodyBytes(taskId));
  return await registry.tasks.bodies(taskId);
}
