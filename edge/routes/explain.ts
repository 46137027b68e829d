import { Router, type Request } from 'express';
import { can, seesCallee } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { aliasSchema } from '../../core/names.ts';
import type { LivePool } from '../../core/flow/alive/liveness.ts';
import { explainAskSchema, type ExplainView } from '../../core/task/explain.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { Resolved } from '../believed/known-pools.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { listsInTurn } from '../limits/turns.ts';
import { bodyOf } from '../http/parse.ts';
import { readRequest, requestText } from '../inference/ask/request.ts';
import { translationOf } from '../inference/translate/sent.ts';
import { attemptsOf } from '../shown/task/attempts-of.ts';
import { countPools } from '../shown/pool-counts.ts';
import { explainPool, explainTask } from '../shown/explain.ts';
import { taskOf } from '../shown/task/task-of.ts';
import { noBodies, taskDetails, taskView } from '../shown/task/task-view.ts';

/** A task with its attempts, and without its bodies. */
async function attempted(deps: EdgeDeps, row: TaskRow) {
  const { fence, ...attempts } = await attemptsOf(deps, row);
  const details = taskDetails(row, { bodies: noBodies, ...attempts, showsSessions: false });
  return { ...taskView(row, fence), ...details };
}

/** The pool that a call of that name comes to. @throws McpctlError `llm_not_found`. */
async function poolFor(deps: EdgeDeps, req: Request): Promise<LivePool> {
  const actor = actorOf(req);
  const name = aliasSchema.safeParse(req.params['name']);
  const isThere = ({ poolKey, llm, agent, holderId }: Resolved): boolean =>
    agent === null
      ? seesCallee(actor, { poolKey, llm, holderId })
      : can(actor, 'run', { resource: 'agent', target: { ...agent, poolKey } });
  const place = name.success ? await deps.knownPools.ask(name.data, isThere) : undefined;
  if (!place) throw new McpctlError('llm_not_found');
  // What is remembered of a pool has nobody who left it.
  return await deps.liveness.loadPool(place.pool.key);
}

/** What would become of a request, which nobody is sent. */
async function explainRequest(deps: EdgeDeps, req: Request): Promise<ExplainView> {
  const pool = await poolFor(deps, req);
  const { operation = 'chat' } = bodyOf(req, explainAskSchema, { forInference: true });
  const request = await readRequest(operation, requestText(req), { owner: actorOf(req).userId });
  const translation = translationOf(request);
  const ways = [request.needs, ...(translation ? [translation.needs()] : [])];
  const view = explainPool(pool, actorOf(req), ways);
  const isAtOnce = view.candidates.some(({ verdict }) => verdict === 'ready');
  const { pending = 0 } = (await countPools(deps, [pool.key])).get(pool.key) ?? {};
  return { ...view, place: isAtOnce ? 1 : pending + 1 };
}

/** `GET` and `POST /api/v1/llms/:name/explain`, `GET /api/v1/tasks/:id/explain`: who takes it, or took it, and why. */
export function explainRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const looking = listsInTurn(deps);
  router.get('/llms/:name/explain', looking, async (req, res) => {
    res.json(explainPool(await poolFor(deps, req), actorOf(req)));
  });
  router.post('/llms/:name/explain', looking, async (req, res) => {
    res.json(await explainRequest(deps, req));
  });
  router.get('/tasks/:id/explain', looking, async (req, res) => {
    const row = await taskOf(deps, req);
    const [pool, task] = await Promise.all([deps.liveness.loadPool(row.poolName), attempted(deps, row)]);
    res.json(explainTask(pool, task, { actor: actorOf(req), pinned: row.pin }));
  });
  return router;
}
