import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { cancelled, closeTask } from '../../core/flow/cancel.ts';
import { topLevelMembers } from '../../core/json-text.ts';
import { aliasSchema, nameSchema, uuidSchema } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import { readFences } from '../../core/queue/fence.ts';
import {
  isTerminal,
  taskCreateSchema,
  taskStatusSchema,
  type TaskRow,
  type TaskStatus,
  type TaskView,
} from '../../core/task.ts';
import { actorOf } from '../context.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import { chatOnly, readChat } from '../inference/request.ts';
import { accept } from '../inference/submit.ts';
import { targetOf } from '../inference/target.ts';
import { untilEnded } from '../inference/until-ended.ts';
import { afterOf, bodyOf, cursorOf, queryOf } from '../parse.ts';
import { taskDetails, taskView } from '../task-view.ts';

const listSchema = listQuerySchema.extend({
  status: taskStatusSchema.optional(),
  pool: nameSchema.optional(),
  llm: aliasSchema.optional(),
});
const waitSchema = z.strictObject({ wait: z.coerce.number().min(0).max(60).default(0) });

/** One's own task, or any for who may see all; else it is not there, exactly like a random id. */
async function taskOf(deps: EdgeDeps, req: Request): Promise<TaskRow> {
  const id = uuidSchema.safeParse(req.params['id']);
  if (!id.success) throw new McpctlError('invalid_id');
  const row = await deps.registry.tasks.byId(id.data);
  const target = row && { ownerId: row.ownerId };
  if (!row || !can(actorOf(req), 'view', { resource: 'task', target: target ?? {} }))
    throw new McpctlError('task_not_found');
  return row;
}

async function viewsOf(deps: EdgeDeps, rows: readonly TaskRow[]): Promise<TaskView[]> {
  const live = rows.filter((row) => !isTerminal(row.status));
  const { redis, keys } = deps.queue;
  const refs = live.map((row) => ({ taskId: row.id, poolKey: row.poolName }));
  // Without Redis the rows are still true, only less exact.
  const fences = await readFences(redis, keys, refs).catch(() => []);
  const byId = new Map(live.map((row, i) => [row.id, fences[i] ?? null]));
  return rows.map((row) => taskView(row, byId.get(row.id) ?? null));
}

async function detailed(deps: EdgeDeps, row: TaskRow): Promise<TaskView> {
  const { tasks } = deps.registry;
  const [[view], bodies, attempts] = await Promise.all([
    viewsOf(deps, [row]),
    tasks.bodies(row.id),
    tasks.attempts(row.id),
  ]);
  return { ...(view ?? taskView(row, null)), ...taskDetails(bodies, attempts) };
}

/** The text of `request` as it came: it reaches the backend like that. */
function requestText(text: string): string {
  const member = topLevelMembers(text)?.findLast(({ key }) => key === 'request');
  return member ? text.slice(member.valueStart, member.valueEnd) : '{}';
}

async function create(deps: EdgeDeps, req: Request): Promise<TaskRow> {
  const actor = actorOf(req);
  const body = bodyOf(req, taskCreateSchema, { forInference: true });
  const request = readChat(requestText(req.context.text ?? ''));
  const operation = chatOnly(body.operation);
  const target = await targetOf(deps, actor, {
    asked: body.llm,
    pin: req.get('x-mcpctl-pin'),
    mayWait: true,
  });
  return await accept(deps, actor, {
    request,
    target,
    llmName: body.llm,
    source: 'async',
    priority: body.priority ?? 'background',
    operation,
    queueMs: deps.config.queueAsyncMs,
    onDisconnect: 'continue',
  });
}

/** Rows store a live task as `pending`; what it is just now is laid over them, so that is what a filter looks at. */
const storedAs = (status: TaskStatus): readonly TaskStatus[] =>
  isTerminal(status) ? [status] : ['pending', 'claimed', 'running'];

/** How many pages of rows one call may look at for its status: the one shown is not the one stored. */
const MOST_PAGES = 20;

async function list(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const actor = actorOf(req);
  const { limit, after, status, ...filter } = queryOf(req, listSchema);
  const ownerId = can(actor, 'view', { resource: 'task', target: { ownerId: '' } }) ? null : actor.userId;
  const statuses = status && storedAs(status);
  let before = afterOf(after, uuidSchema);
  const items: TaskView[] = [];
  for (let pages = 0; pages < MOST_PAGES && items.length < limit; pages++) {
    const wanted = limit - items.length;
    const rows = await deps.registry.tasks.list({ ...filter, statuses, before, limit: wanted, ownerId });
    const views = await viewsOf(deps, rows);
    items.push(...views.filter((view) => status === undefined || view.status === status));
    before = rows.length < wanted ? undefined : rows.at(-1)?.id;
    if (before === undefined) break;
  }
  res.json({ items, next: before === undefined ? null : cursorOf(before) });
}

/** `/api/v1/tasks`: SPEC §5. */
export function taskRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/tasks', async (req, res) => {
    const row = await create(deps, req);
    res
      .status(202)
      .location(`/api/v1/tasks/${row.id}`)
      .set('x-mcpctl-task-id', row.id)
      .json(taskView(row, null));
  });
  router.get('/tasks', (req, res) => list(deps, req, res));
  router.get('/tasks/:id', async (req, res) => {
    const { wait } = queryOf(req, waitSchema);
    const row = await taskOf(deps, req);
    const gone = new AbortController();
    res.once('close', () => gone.abort());
    res.json(
      await detailed(deps, await untilEnded(deps, row, { withinMs: wait * 1_000, gone: gone.signal })),
    );
  });
  router.delete('/tasks/:id', async (req, res) => {
    const row = await taskOf(deps, req);
    if (!can(actorOf(req), 'delete', { resource: 'task', target: { ownerId: row.ownerId } }))
      throw new McpctlError('forbidden');
    if (!isTerminal(row.status)) await closeTask(flowOf(deps), row, cancelled);
    res.json(await detailed(deps, (await deps.registry.tasks.byId(row.id)) ?? row));
  });
  return router;
}
