import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { Actor } from '../../../core/access.ts';
import type { MadeOfAgent } from '../../../core/agent/made.ts';
import { goesOn, type Policy } from '../../../core/task/disconnect.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { closeRow } from '../../../core/flow/end/settle.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { TaskRef } from '../../../core/queue/task/fence.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import type { TaskKey } from '../../../core/registry/idempotency.ts';
import type { AskedOfAgent, NewTask } from '../../../core/registry/tasks/insert-tasks.ts';
import type { TaskHead } from '../../../core/task/head.ts';
import type { Priority, TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import type { Attachment } from '../../waiting/waiters.ts';
import { needEqual } from './equal.ts';
import type { InferenceRequest } from './request.ts';
import type { Sent } from '../translate/sent.ts';
import type { Target } from './target.ts';

export interface Order {
  request: InferenceRequest;
  /** What members get where that is a translation of the request; null: the request itself. */
  sent: Sent | null;
  target: Target;
  /** Where an agent was asked: which, and what of the request is its own. */
  agent?: AgentOfOrder | undefined;
  /** The name that the caller asked for. */
  llmName: string;
  source: TaskRow['source'];
  priority: Priority;
  /** The few headers that the backend may see. */
  headers: TaskHead['headers'];
  queueMs: number;
  policy: Policy;
  retention: TaskRow['retention'];
  /** What the call may be repeated under. */
  key: TaskKey | null;
}

/** The agent that an order is for. */
export interface AgentOfOrder extends AskedOfAgent {
  made: () => MadeOfAgent;
  /** The most tokens that the answer may have; null: the request says nothing of it. */
  answerTokens: number | null;
  /** It has tools of its project. */
  hasServerTools: boolean;
  /** The project of whose servers' tools the server may run what it calls; null: of none. */
  toolsFrom: string | null;
}

/** The row of an accepted task, the follower of its stream, opened before the task could begin, and the wait for it. */
export interface Submitted {
  row: TaskRow;
  follower: Follower;
  attachment: Attachment;
}

/** What is the same for every task that nobody waits for. */
export function asyncTask({ config }: Pick<EdgeDeps, 'config'>) {
  const queueMs = config.queueAsyncMs;
  return { source: 'async', priority: 'background', queueMs, policy: goesOn } as const;
}

/** The row of a task; `made` = by this call, else an equal one was quicker under the same key. */
export interface Accepted {
  row: TaskRow;
  made: boolean;
}

/**
 * Accepts a task: commits its row, then enqueues it. From the commit on it is never lost: when Redis fails
 * here, `accept` keeps the row for the reconciler. `submitAndFollow` does so under a key, which the caller
 * comes back with; else it gives the task up, because its caller is told.
 * @throws McpctlError `unavailable`, `too_many_requests`, `queue_full`, `idempotency_mismatch`.
 */
export async function accept(deps: EdgeDeps, actor: Actor, order: Order): Promise<Accepted> {
  const accepted = await insert(deps, actor, { order, id: v7() });
  if (accepted.made) await enqueueOrLeave(deps, order, accepted.row);
  return accepted;
}

/** A row that was accepted with a turn: enqueued, and left alone. */
export const leaveAccepted = (deps: EdgeDeps, order: Order, row: TaskRow): Promise<void> =>
  enqueueOrLeave(deps, order, row);

async function enqueueOrLeave(deps: EdgeDeps, order: Order, row: TaskRow): Promise<void> {
  try {
    await enqueue(deps, { order, row });
  } catch (thrown) {
    deps.log.warn(
      { taskId: row.id, why: messageOf(thrown) },
      'a task is accepted but not enqueued yet; the reconciler will',
    );
  }
}

/**
 * For a caller who waits: subscribes while the row is written, then enqueues.
 * @returns the row alone when an equal call was quicker. @throws as `accept`.
 */
export async function submitAndFollow(
  deps: EdgeDeps,
  actor: Actor,
  order: Order,
): Promise<Submitted | { row: TaskRow; follower: null }> {
  const id = v7();
  const { edge, opening } = follow(deps, order, { taskId: id, poolKey: order.target.poolKey });
  const [opened, inserted] = await Promise.allSettled([opening, insert(deps, actor, { order, id })]);
  try {
    if (inserted.status === 'rejected') throw inserted.reason;
    if (opened.status === 'rejected') throw opened.reason;
    const { row, made } = inserted.value;
    if (!made) {
      opened.value.close();
      return { row, follower: null };
    }
    const attachment = randomUUID();
    await enqueue(deps, { order, row, attachment, edge });
    return { row, follower: opened.value, attachment: deps.waiters.adopt(row, attachment, edge) };
  } catch (thrown) {
    if (opened.status === 'fulfilled') opened.value.close();
    const accepted = inserted.status === 'fulfilled';
    if (accepted && !order.key) await giveUp(deps, id);
    throw asOurs(thrown, accepted ? inserted.value.row.id : undefined);
  }
}

/**
 * For a caller who waits for a row that was accepted with a turn: subscribes, then enqueues.
 * @param keeps its caller comes back with a key, so that the row stays when Redis fails here.
 */
export async function followAccepted(
  deps: EdgeDeps,
  { order, row, keeps }: { order: Order; row: TaskRow; keeps: boolean },
): Promise<Submitted> {
  let follower: Follower | undefined;
  try {
    const { edge, opening } = follow(deps, order, refOf(row));
    follower = await opening;
    const attachment = randomUUID();
    await enqueue(deps, { order, row, attachment, edge });
    return { row, follower, attachment: deps.waiters.adopt(row, attachment, edge) };
  } catch (thrown) {
    follower?.close();
    if (!keeps) await giveUp(deps, row.id);
    throw asOurs(thrown, row.id);
  }
}

/**
 * Begins to follow what an order's task will say.
 * @returns with it this edge, as the fence is to name it, where it hears of the task by its channel of the pool. One that goes on
 *   without anybody holds no lease that would tell a fence anew who waits.
 */
function follow(
  { queue: { channels, streams } }: EdgeDeps,
  { target: { tellsEdges }, policy }: Order,
  ref: TaskRef,
): { edge: string | undefined; opening: Promise<Follower> } {
  return tellsEdges && policy.onDisconnect !== 'continue'
    ? { edge: channels.edge, opening: streams.followOwn(ref) }
    : { edge: undefined, opening: streams.follow(ref) };
}

function asOurs(thrown: unknown, taskId: string | undefined): McpctlError {
  const error = thrown instanceof McpctlError ? thrown : new McpctlError('unavailable');
  if (taskId === undefined) return error;
  const { code, message, retryAfterS = 2 } = error;
  return new McpctlError(code, message, { retryAfterS, taskId, cause: thrown });
}

async function insert(
  deps: EdgeDeps,
  actor: Actor,
  { order, id }: { order: Order; id: string },
): Promise<Accepted> {
  const { registry, config, caps } = deps;
  const { key, target } = order;
  const task = newTask(deps, actor, { order, id });
  const to = { poolKey: target.poolKey, bytes: Buffer.byteLength(order.request.body) };
  if (!key) {
    const row = await caps.admit(actor, to, () => insertOrClose(deps, task));
    return { row, made: true };
  }
  const inserted = await caps.admit(actor, to, () =>
    registry.idempotency.insert(task, { ...key, lifeMs: config.idempotencyMs }),
  );
  if ('row' in inserted) return { row: inserted.row, made: true };
  return { row: await needEqual(deps, { actor, key, task: inserted.task }), made: false };
}

/** A commit that is not answered may have been made: the task is told, and closed as soon as it can be. */
async function insertOrClose(deps: EdgeDeps, task: NewTask): Promise<TaskRow> {
  try {
    return await deps.registry.tasks.insert(task);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code !== 'unavailable') throw thrown;
    deps.undecided.close({ id: task.id, poolName: task.poolKey });
    throw asOurs(thrown, task.id);
  }
}

/** The row that an order becomes. */
export function newTask(deps: EdgeDeps, actor: Actor, { order, id }: { order: Order; id: string }): NewTask {
  return {
    id,
    operation: order.request.operation,
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
    ...order.policy,
    retention: order.retention,
    ownerId: actor.userId,
    tokenId: actor.tokenId,
    agent: order.agent,
  };
}

async function enqueue(
  deps: EdgeDeps,
  {
    order,
    row,
    attachment,
    edge,
  }: { order: Order; row: TaskRow; attachment?: string; edge?: string | undefined },
): Promise<void> {
  await deps.queue.dispatch.enqueueNew({
    taskId: row.id,
    poolKey: row.poolName,
    epoch: row.epoch,
    ownerId: row.ownerId,
    body: order.sent?.body ?? order.request.body,
    head: headOf(deps, order),
    priority: order.priority,
    pin: order.target.pin?.id,
    waitMs: order.queueMs,
    policy: order.policy,
    attachment,
    edge,
  });
  deps.bus.emit('task.accepted', { taskId: row.id, pool: row.poolName });
}

function headOf(deps: EdgeDeps, order: Order): TaskHead {
  const { headers, llmName } = order;
  const { request, sent } = order;
  const { unfit, spared, shorter } = order.target;
  return {
    operation: sent ? 'chat' : request.operation,
    streaming: request.streaming,
    // Those that a backend may see are of the protocol that was asked for.
    headers: sent ? {} : headers,
    llmName,
    runMs: deps.config.runMs,
    ...(unfit.length > 0 && { unfit }),
    ...(spared.length > 0 && { spared }),
    ...(shorter.length > 0 && { shorter }),
    ...(sent && { translated: sent.from }),
  };
}

/** The caller gets a 503, so the task must not run behind their back. If Postgres is away too, it expires. */
async function giveUp(deps: EdgeDeps, id: string): Promise<void> {
  const how = {
    status: 'error',
    code: 'unavailable',
    message: 'Redis could not be reached when the task was made.',
  } as const;
  await closeRow(flowOf(deps), id, how).catch((thrown: unknown) => {
    deps.log.warn(
      { taskId: id, why: messageOf(thrown) },
      'a task that was given up stays pending until it expires',
    );
  });
}
