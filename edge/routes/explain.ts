import { Router } from 'express';
import { can, seesCallee } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { aliasSchema } from '../../core/names.ts';
import type { TaskRow, TaskView } from '../../core/task/task.ts';
import type { Resolved } from '../believed/known-pools.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { listsInTurn } from '../limits/turns.ts';
import { attemptsOf } from '../shown/attempts-of.ts';
import { explainPool, explainTask } from '../shown/explain.ts';
import { taskOf } from '../shown/task-of.ts';
import { noBodies, taskDetails, taskView } from '../shown/task-view.ts';

/** A task with its attempts, and without its bodies. */
async function attempted(deps: EdgeDeps, row: TaskRow): Promise<TaskView> {
  const { fence, ...attempts } = await attemptsOf(deps, row);
  const details = taskDetails(row, { bodies: noBodies, ...attempts, showsSessions: false });
  return { ...taskView(row, fence), ...details };
}

/** `GET /api/v1/llms/:name/explain` and `/api/v1/tasks/:id/explain`: who takes it, or took it, and why. */
export function explainRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const looking = listsInTurn(deps);
  router.get('/llms/:name/explain', looking, async (req, res) => {
    const actor = actorOf(req);
    const name = aliasSchema.safeParse(req.params['name']);
    const isThere = ({ poolKey, llm, agent, holderId }: Resolved): boolean =>
      agent === null
        ? seesCallee(actor, { poolKey, llm, holderId })
        : can(actor, 'run', { resource: 'agent', target: { ...agent, poolKey } });
    const place = name.success ? await deps.knownPools.ask(name.data, isThere) : undefined;
    if (!place) throw new McpctlError('llm_not_found');
    // What is remembered of a pool has nobody who left it.
    res.json(explainPool(await deps.liveness.loadPool(place.pool.key), actor));
  });
  router.get('/tasks/:id/explain', looking, async (req, res) => {
    const row = await taskOf(deps, req);
    const [pool, task] = await Promise.all([deps.liveness.loadPool(row.poolName), attempted(deps, row)]);
    res.json(explainTask(pool, task, { actor: actorOf(req), pinned: row.pin }));
  });
  return router;
}
