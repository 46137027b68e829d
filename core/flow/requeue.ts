import { rowEpochOf, type Fence } from '../queue/task/fence.ts';
import type { LostClaim } from '../registry/tasks/task-ends.ts';
import type { TaskRow } from '../task/task.ts';
import { refOf, type FlowDeps } from './deps.ts';
import { memberBody, sentBody } from '../translate/member-body.ts';

/**
 * Starts a task over: a new epoch from Postgres, then the fence and the job. If this process dies between the
 * two, the row's epoch is above the fence's, and the reconciler enqueues it.
 * @param excluded llm ids that must not have it; those that the fence names, unless told.
 * @returns what became of it: `shown` and `closed` are for the caller to end, `moved` means somebody was quicker.
 */
export async function requeueTask(
  deps: FlowDeps,
  {
    row,
    fence,
    lost,
    excluded,
  }: { row: TaskRow; fence: Fence; lost?: LostClaim; excluded?: readonly string[] },
): Promise<'ok' | 'moved' | 'shown' | 'closed'> {
  if (fence.shown !== '') return 'shown';
  // Compared with what the fence knows, not with the row: one read after somebody else's requeue is ahead of our fence.
  const renewed = await deps.registry.tasks.nextEpoch(row.id, rowEpochOf(fence), lost);
  if (!renewed) return 'moved';
  // Its job was taken and no claim followed: perhaps by a worker of a release that knows no bodies but those in Redis.
  if (fence.claim === '' && fence.state === 'open')
    await deps.dispatch.bringBody(refOf(row), () => memberBody(deps.registry, row.id));
  const answer = await renewFence(deps, { row: renewed, fence, excluded });
  if (answer === 'absent') return (await enqueueRow(deps, renewed)) ? 'ok' : 'moved';
  if (answer === 'ok')
    deps.bus.emit('task.requeued', {
      taskId: row.id,
      epoch: renewed.epoch,
      why: lost?.reason ?? 'handed back',
    });
  return answer;
}

/**
 * A task that waits gets a new epoch where it stands: Redis went back, and the one that it has may have been claimed in
 * writes that are lost.
 */
export async function renewWaiting(
  deps: FlowDeps,
  { row, fence }: { row: TaskRow; fence: Fence },
): Promise<boolean> {
  const renewed = await deps.registry.tasks.nextEpoch(row.id, rowEpochOf(fence));
  return renewed !== null && (await renewFence(deps, { row: renewed, fence })) === 'ok';
}

/**
 * Lays a task down anew from its row, under a new epoch: its fence is missing, has fallen behind the row, or ended with its
 * end lost.
 * @param seen the fence that this was decided by. @returns false when somebody was quicker.
 * @internal tests lay single tasks down; duties many (lay-many.ts)
 */
export async function layAnew(deps: FlowDeps, row: TaskRow, seen: Fence | null): Promise<boolean> {
  const renewed = await deps.registry.tasks.nextEpoch(row.id, row.epoch);
  return renewed !== null && (await enqueueRow(deps, renewed, seen));
}

/**
 * The second half of a requeue: the fence gets the row's epoch, which must be a new one, and the job goes back. Done
 * twice it changes nothing.
 */
export async function renewFence(
  { dispatch, registry }: Pick<FlowDeps, 'dispatch' | 'registry'>,
  { row, fence, excluded }: { row: TaskRow; fence: Fence; excluded?: readonly string[] | undefined },
): ReturnType<FlowDeps['dispatch']['requeue']> {
  const task = { ...refOf(row), priority: row.priority, pin: row.pin ?? undefined };
  const { epoch, claim, job } = fence;
  const waitMs = Math.max(0, row.queueDeadline.getTime() - row.createdAt.getTime());
  // What was asked may have expired while the task ran for long.
  const isKept = await dispatch.keepInput(task, waitMs);
  const submission = isKept ? undefined : await registry.tasks.submissionOf(row.id);
  if (submission) await dispatch.layInput({ ...task, ...submission, body: sentBody(submission), waitMs });
  const seen = { epoch, claim, job, newEpoch: row.epoch, excluded: excluded ?? [fence.excluded], waitMs };
  const answer = await dispatch.requeue(task, seen);
  // It was gone because the task was over by then: nothing of what was asked stays behind.
  if (submission && answer !== 'ok') await dispatch.dropInputOfEnded(task);
  return answer;
}

/** Enqueues an accepted task from its row alone, whenever Redis has lost it. @param seen as for `Dispatch.enqueue`. */
async function enqueueRow(deps: FlowDeps, row: TaskRow, seen?: Fence | null): Promise<boolean> {
  const submission = await deps.registry.tasks.submissionOf(row.id);
  if (!submission) return false;
  const { epoch, priority, ownerId } = row;
  const sent = { ...submission, body: sentBody(submission) };
  const task = { ...refOf(row), ...sent, ownerId, epoch, priority, pin: row.pin ?? undefined, policy: row };
  return await deps.dispatch.enqueue(task, seen);
}
