import { Router, type Request, type Response } from 'express';
import { can, canToAll, scopeOf, type Actor, type Scope } from '../../core/access.ts';
import { callersOwn } from '../../core/agent/uncover.ts';
import { McpctlError } from '../../core/errors.ts';
import { cancelled, closeTask } from '../../core/flow/end/cancel.ts';
import { turnFor } from '../../core/text/json-shape.ts';
import { uuidSchema } from '../../core/names.ts';
import type { TaskComposition } from '../../core/registry/agents/agents.ts';
import type { TaskBodies } from '../../core/registry/tasks/tasks.ts';
import { isLarge } from '../../core/runtime/time-of-bytes.ts';
import {
  isTerminal,
  MOST_COUNTED,
  taskCountsQuerySchema,
  taskCreateSchema,
  taskListQuerySchema,
  taskStatuses,
  taskWaitQuerySchema,
  type TaskCountsView,
  type TaskRow,
  type TaskStatus,
  type TaskView,
} from '../../core/task/task.ts';
import { actorOf } from '../http/context.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import { needStillGood, whileThere } from '../http/gone.ts';
import { appliedOf, wishesOf, type Wishes } from '../inference/ask/headers.ts';
import { heldBack } from '../inference/later.ts';
import { makeTask, retryTask } from '../inference/ask/make-task.ts';
import { requestText } from '../inference/ask/request.ts';
import { dropOnceDelivered } from '../inference/answer/retention.ts';
import type { Accepted } from '../inference/ask/submit.ts';
import { asAskedFor } from '../inference/translate/form.ts';
import { untilEnded } from '../inference/follow/until-ended.ts';
import { keptBodies } from '../limits/kept-bodies.ts';
import { afterOf, bodyOf, cursorOf, queryOf } from '../http/parse.ts';
import { attemptsOf } from '../shown/task/attempts-of.ts';
import { readsBodies, taskOf, whyNotSeen } from '../shown/task/task-of.ts';
import { largeView, noBodies, taskDetails } from '../shown/task/task-view.ts';
import { taskShown, tasksShown } from '../shown/task/tasks-shown.ts';
import { listsInTurn } from '../limits/turns.ts';
import { sharedLook } from '../live/shared.ts';

const send = (res: Response, view: TaskView | string): void =>
  void (typeof view === 'string' ? res.type('json').send(view) : res.json(view));

/** Bodies without the persona of the agent that was asked, for who may not see that: what is left is the caller's own. */
function uncovered(
  actor: Actor,
  { bodies, composition }: { bodies: TaskBodies; composition: TaskComposition | undefined },
): TaskBodies {
  const { requestBody } = bodies;
  if (requestBody === null || !composition) return bodies;
  const { ownerId, name } = composition;
  const target = { ...(ownerId !== null && { ownerId }), ...(name !== null && { name }) };
  if (can(actor, 'edit', { resource: 'agent', target })) return bodies;
  return { ...bodies, requestBody: callersOwn(requestBody, composition) };
}

const isOwn = (req: Request, { ownerId }: Pick<TaskRow, 'ownerId'>): boolean => {
  const { userId, by } = actorOf(req);
  return ownerId === userId && !by;
};

/** The view of a task with its bodies; as text where those are large. */
async function detailed(deps: EdgeDeps, req: Request, row: TaskRow): Promise<TaskView | string> {
  // To end another's is not to read it.
  const isRead = req.method === 'DELETE' ? isOwn(req, row) : readsBodies(actorOf(req), row);
  if (isRead) await deps.bodyReads.tell(actorOf(req), { resource: 'task', ...row });
  const [{ fence, ...attempts }, bodies, composition] = await Promise.all([
    attemptsOf(deps, row),
    isRead ? keptBodies(deps, req, row.id) : noBodies,
    deps.registry.agents.compositionOf(row.id),
  ]);
  const showsSessions = canToAll(actorOf(req), 'view', 'session');
  const asked = await asAskedFor(row, uncovered(actorOf(req), { bodies, composition }));
  const isLong = isLarge((asked.requestBody?.length ?? 0) + (asked.responseBody?.length ?? 0));
  const shownBodies = isLong ? noBodies : asked;
  const view = {
    ...(await taskShown(deps, actorOf(req), { row, fence })),
    ...taskDetails(row, { bodies: shownBodies, ...attempts, showsSessions }),
  };
  return isLong ? await largeView(view, asked, actorOf(req).userId) : view;
}

async function create(deps: EdgeDeps, req: Request, wishes: Wishes): Promise<Accepted> {
  const {
    llm: llmName,
    operation = 'chat',
    priority,
  } = bodyOf(req, taskCreateSchema, { forInference: true });
  return await makeTask(deps, actorOf(req), { llmName, operation, text: requestText(req), priority, wishes });
}

const retry = async (deps: EdgeDeps, req: Request, wishes: Wishes): Promise<Accepted> =>
  retryTask(deps, req, { row: await taskOf(deps, req), wishes });

/** 202 and the task; with `Prefer: wait=<s>` 200 and the whole task, when it ends in that time. */
async function submit(
  deps: EdgeDeps,
  { req, res, make }: { req: Request; res: Response; make: typeof create },
): Promise<void> {
  const wishes = wishesOf(req);
  const { row, made } = await make(deps, req, wishes);
  const applied = appliedOf(wishes);
  if (applied !== '') res.set('preference-applied', applied);
  if (!made) res.set('idempotency-replayed', 'true');
  res.location(`/api/v1/tasks/${row.id}`).set('x-mcpctl-task-id', row.id);
  const now = await heldBack(deps, { res, wishes, row });
  if (wishes.waitMs !== undefined && isTerminal(now.status)) await showWhole(deps, { req, res, row: now });
  else {
    const actor = actorOf(req);
    res
      .status(202)
      .json(made ? await taskShown(deps, actor, { row: now }) : (await tasksShown(deps, actor, [now]))[0]);
  }
}

/** How long a cancel that came after the end waits for the end to be written down. */
const SETTLED_WITHIN_MS = 2_000;

/** What one does with one's own is inference; ending another's is in the audit, before it is done. */
async function tellOfOthers(deps: EdgeDeps, req: Request, { id, ownerId, status }: TaskRow): Promise<void> {
  const actor = actorOf(req);
  if (ownerId === actor.userId || isTerminal(status)) return;
  await deps.registry.audits.record(actor, { verb: 'delete', resource: 'task', id, name: id, ownerId });
}

async function cancelOf(deps: EdgeDeps, row: TaskRow): Promise<TaskRow> {
  if (isTerminal(row.status)) return row;
  const closed = await closeTask(flowOf(deps), row, cancelled);
  if (closed === 'ended') {
    const limits = { withinMs: SETTLED_WITHIN_MS, gone: new AbortController().signal };
    return await untilEnded(deps, row, limits);
  }
  return (await deps.registry.tasks.byId(row.id)) ?? row;
}

/** A task that asked not to be kept is dropped once its owner was shown how it ended; a streamed one, by its stream. */
async function showWhole(
  deps: EdgeDeps,
  { req, res, row }: { req: Request; res: Response; row: TaskRow },
): Promise<void> {
  const view = await detailed(deps, req, row);
  if (typeof view === 'string') await turnFor(view, actorOf(req).userId); // encoding it takes long, too
  const delivered = isTerminal(row.status) && !row.streaming && isOwn(req, row) && req.method !== 'HEAD';
  if (delivered) dropOnceDelivered(deps, row, res);
  send(res, view);
}

/** Rows store a live task as `pending`; what it is just now is laid over them, so that is what a filter looks at. */
const storedAs = (status: TaskStatus): readonly TaskStatus[] =>
  isTerminal(status) ? [status] : ['pending', 'claimed', 'running'];

/** How many pages of rows one call may look at for its status: the one shown is not the one stored. */
const MOST_PAGES = 20;

/** null: none that they may see. @throws McpctlError `forbidden`. */
function seenBy(actor: Actor, { session }: { session?: string | undefined }): Scope | null {
  if (session !== undefined && !canToAll(actor, 'view', 'session'))
    throw new McpctlError('forbidden', `Your token '${actor.tokenName}' may not view every session.`);
  // Everybody sees their own: it is the token that lets none through.
  if (scopeOf({ ...actor, pools: null }, 'view', 'task') === null)
    throw new McpctlError('forbidden', `Your token '${actor.tokenName}' may not view tasks.`);
  return scopeOf(actor, 'view', 'task');
}

async function count(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const filter = queryOf(req, taskCountsQuerySchema);
  const scope = seenBy(actorOf(req), filter);
  const counts: ReadonlyMap<TaskStatus, number> = scope
    ? await deps.registry.tasks.statuses({ ...filter, scope, limit: MOST_COUNTED })
    : new Map();
  const sum = (statuses: readonly TaskStatus[]): number =>
    statuses.reduce((all, status) => all + (counts.get(status) ?? 0), 0);
  const view: TaskCountsView = {
    total: sum(taskStatuses),
    open: sum(storedAs('pending')),
    completed: sum(['completed']),
    error: sum(['error']),
    cancelled: sum(['cancelled']),
  };
  res.json(view);
}

async function list(deps: EdgeDeps, req: Request): Promise<object> {
  const { limit, after, status, ...filter } = queryOf(req, taskListQuerySchema);
  const scope = seenBy(actorOf(req), filter);
  if (!scope) return { items: [], next: null };
  const statuses = status && storedAs(status);
  let before = afterOf(after, uuidSchema);
  const items: TaskView[] = [];
  for (let pages = 0; pages < MOST_PAGES && items.length < limit; pages++) {
    const wanted = limit - items.length;
    const rows = await deps.registry.tasks.list({ ...filter, statuses, before, limit: wanted, scope });
    const views = await tasksShown(deps, actorOf(req), rows);
    items.push(...views.filter((view) => status === undefined || view.status === status));
    before = rows.length < wanted ? undefined : rows.at(-1)?.id;
    if (before === undefined) break;
  }
  return { items, next: before === undefined ? null : cursorOf(before) };
}

/** `/api/v1/tasks`: docs/spec.md §5. */
export function taskRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/tasks', (req, res) => submit(deps, { req, res, make: create }));
  router.post('/tasks/:id/retry', (req, res) => submit(deps, { req, res, make: retry }));
  router.get(
    '/tasks',
    listsInTurn(deps),
    sharedLook(deps, (req) => list(deps, req)),
  );
  router.get('/tasks/counts', listsInTurn(deps), (req, res) => count(deps, req, res));
  router.get('/tasks/:id', async (req, res) => {
    const { wait } = queryOf(req, taskWaitQuerySchema);
    const row = await taskOf(deps, req);
    const whyNot = whyNotSeen(actorOf(req), row);
    const now = await whileThere(deps, { res, poolKey: row.poolName, whyNot }, (gone) =>
      untilEnded(deps, row, { withinMs: wait * 1_000, gone }).finally(
        () => needStillGood(gone, row.id), // says more than that Redis is away
      ),
    );
    await showWhole(deps, { req, res, row: now });
  });
  router.delete('/tasks/:id', async (req, res) => {
    const row = await taskOf(deps, req);
    const target = { ownerId: row.ownerId, poolKey: row.poolName };
    if (!can(actorOf(req), 'delete', { resource: 'task', target })) throw new McpctlError('forbidden');
    await tellOfOthers(deps, req, row);
    send(res, await detailed(deps, req, await cancelOf(deps, row)));
  });
  return router;
}
