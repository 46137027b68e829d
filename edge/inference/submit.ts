import { v7 } from 'uuid';
import type { Actor } from '../../core/access.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { Follower } from '../../core/queue/follow.ts';
import type { TaskHead } from '../../core/task-head.ts';
import type { Priority, TaskRow } from '../../core/task.ts';
import type { EdgeDeps } from '../deps.ts';
import type { InferenceRequest } from './request.ts';
import type { Target } from './target.ts';

export interface Order {
  request: InferenceRequest;
  target: Target;
  /** The name that the caller asked for. */
  llmName: string;
  source: TaskRow['source'];
  priority: Priority;
  operation: 'chat';
  queueMs: number;
  onDisconnect: TaskRow['onDisconnect'];
}

/** The row of an accepted task, and the follower of its stream, opened before the task could begin. */
export interface Submitted {
  row: TaskRow;
  follower: Follower;
}

/**
 * Accepts a task: commits its row, then enqueues it. From the commit on it is never lost: when Redis fails
 * here, `accept` keeps the row for the reconciler, and `submitAndFollow` gives it up, because its caller is told.
 * @throws McpctlError `unavailable`.
 */
export async function accept(deps: EdgeDeps, actor: Actor, order: Order): Promise<TaskRow> {
  const row = await insert(deps, actor, { order, id: v7() });
  try {
    await enqueue(deps, order, row);
  } catch (thrown) {
    deps.log.warn(
      { taskId: row.id, why: messageOf(thrown) },
      'a task is accepted but not enqueued yet; the reconciler will',
    );
  }
  return row;
}

/** For a caller who waits: subscribes while the row is written, then enqueues. */
export async function submitAndFollow(deps: EdgeDeps, actor: Actor, order: Order): Promise<Submitted> {
  const id = v7();
  const opening = Follower.open(
    { ...deps.queue, log: deps.log },
    { taskId: id, poolKey: order.target.poolKey },
  );
  const [opened, inserted] = await Promise.allSettled([opening, insert(deps, actor, { order, id })]);
  try {
    if (inserted.status === 'rejected') throw inserted.reason;
    if (opened.status === 'rejected') throw opened.reason;
    await enqueue(deps, order, inserted.value);
    return { row: inserted.value, follower: opened.value };
  } catch (thrown) {
    if (opened.status === 'fulfilled') opened.value.close();
    if (inserted.status === 'fulfilled') await giveUp(deps, id);
    throw thrown instanceof McpctlError
      ? thrown
      : new McpctlError('unavailable', undefined, { retryAfterS: 2, cause: thrown });
  }
}

async function insert(
  deps: EdgeDeps,
  actor: Actor,
  { order, id }: { order: Order; id: string },
): Promise<TaskRow> {
  await deps.caps.admit(actor, order.target);
  return await deps.registry.tasks.insert({
    id,
    operation: order.operation,
    source: order.source,
    poolKey: order.target.poolKey,
    llmName: order.llmName,
    pin: order.target.pin?.id ?? null,
    streaming: order.request.streaming,
    priority: order.priority,
    requestBody: order.request.body,
    requestHash: order.request.hash,
    head: headOf(deps, order),
    queueMs: order.queueMs,
    onDisconnect: order.onDisconnect,
    graceSeconds: null,
    ownerId: actor.userId,
    tokenId: actor.tokenId,
  });
}

async function enqueue(deps: EdgeDeps, order: Order, row: TaskRow): Promise<void> {
  await deps.queue.dispatch.enqueue({
    taskId: row.id,
    poolKey: row.poolName,
    epoch: row.epoch,
    body: order.request.body,
    head: headOf(deps, order),
    priority: order.priority,
    pin: order.target.pin?.id,
    waitMs: order.queueMs,
  });
  deps.bus.emit('task.accepted', { taskId: row.id, pool: row.poolName });
}

function headOf(deps: EdgeDeps, order: Order): TaskHead {
  const { operation, llmName } = order;
  return { operation, streaming: order.request.streaming, headers: {}, llmName, runMs: deps.config.runMs };
}

/** The caller gets a 503, so the task must not run behind their back. If Postgres is away too, it expires. */
async function giveUp(deps: EdgeDeps, id: string): Promise<void> {
  const how = {
    status: 'error',
    code: 'unavailable',
    message: 'Redis could not be reached when the task was made.',
  } as const;
  await deps.registry.tasks.close(id, how).catch((thrown: unknown) => {
    deps.log.warn(
      { taskId: id, why: messageOf(thrown) },
      'a task that was given up stays pending until it expires',
    );
  });
}
