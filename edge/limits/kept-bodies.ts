import type { Request, Response } from 'express';
import type { TaskBodies } from '../../core/registry/tasks/tasks.ts';
import { reserveAnswer } from '../body/room.ts';
import type { EdgeDeps } from '../deps.ts';
import { inItsTurn, takeTurn } from './turns.ts';

/** From here on a task's bodies are fetched a few at a time. */
const LARGE_BYTES = 256 * 1024;

type Deps = Pick<EdgeDeps, 'registry' | 'gates' | 'caps'>;

/**
 * The bodies of a task, for an answer that shows them. Room for them is made sure of before they are fetched, and large
 * ones are fetched when the reader's last ones are out: many who ask for the same large one at once, and do not read,
 * would each hold it.
 * @throws McpctlError `too_many_requests`.
 */
export async function keptBodies(deps: Deps, req: Request, taskId: string): Promise<TaskBodies> {
  const bytes = await deps.registry.tasks.bodyBytes(taskId);
  reserveAnswer(req, deps.caps, bytes);
  if (bytes > LARGE_BYTES) await takeTurn(deps.gates.largeAnswers, req);
  return await deps.registry.tasks.bodies(taskId);
}

/** The same, for who merely looks at them. @throws McpctlError `too_many_requests`. */
export async function lookAtBodies<T>(
  deps: Deps,
  { res, taskId }: { res: Response; taskId: string },
  look: (bodies: TaskBodies) => Promise<T>,
): Promise<T> {
  const isLarge = (await deps.registry.tasks.bodyBytes(taskId)) > LARGE_BYTES;
  const work = async (): Promise<T> => look(await deps.registry.tasks.bodies(taskId));
  return await (isLarge ? inItsTurn(deps.gates.largeAnswers, res.req, work) : work());
}
