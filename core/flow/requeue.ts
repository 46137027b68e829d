import type { Fence } from '../queue/fence.ts';
import type { LostClaim } from '../registry/task-ends.ts';
import type { TaskRow } from '../task.ts';
import { refOf, type FlowDeps } from './deps.ts';

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
  // Compared with the fence's epoch, not the row's: a row read after somebody else's requeue is ahead of our fence.
  const renewed = await deps.registry.tasks.nextEpoch(row.id, fence.epoch, lost);
  if (!renewed) return 'moved';
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
 * The second half of a requeue: the fence gets the row's epoch, which must be a new one, and the job goes back. Done
 * twice it changes nothing.
 */
export function renewFence(
  { dispatch }: Pick<FlowDeps, 'dispatch'>,
  { row, fence, excluded }: { row: TaskRow; fence: Fence; excluded?: readonly string[] | undefined },
): ReturnType<FlowDeps['dispatch']['requeue']> {
  const task = { ...refOf(row), priority: row.priority, pin: row.pin ?? undefined };
  const { epoch, claim, job } = fence;
  const seen = { epoch, claim, job, newEpoch: row.epoch, excluded: excluded ?? [fence.excluded] };
  return dispatch.requeue(task, seen);
}

/** Enqueues an accepted task from its row alone: first after acceptance, and whenever Redis has lost it. */
export async function enqueueRow(deps: FlowDeps, row: TaskRow): Promise<boolean> {
  const submission = await deps.registry.tasks.submissionOf(row.id);
  if (!submission) return false;
  return await deps.dispatch.enqueue({
    ...refOf(row),
    ...submission,
    epoch: row.epoch,
    priority: row.priority,
    pin: row.pin ?? undefined,
    policy: row,
  });
}
