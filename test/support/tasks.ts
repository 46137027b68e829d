import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { Submission } from '../../core/queue/task/submission.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import type { Ending, Outcome } from '../../core/task/outcome.ts';
import type { NewTask } from '../../core/registry/tasks/insert-tasks.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { schedulerSettings, type DutyDeps } from '../../scheduler/duties/duty.ts';
import { OpenPools } from '../../scheduler/open-pools.ts';
import { flowOf } from '../../edge/deps.ts';
import type { EdgeFixture } from './edge.ts';

/** A task about to be accepted: an interactive chat in pool `p`, which nobody need wait for, unless told. */
export function newTask(given: Partial<NewTask> & Pick<NewTask, 'ownerId'>): NewTask {
  const { poolKey = 'p', llmName = poolKey, operation = 'chat', streaming = false } = given;
  return {
    id: v7(),
    operation,
    source: 'infer',
    poolKey,
    llmName,
    pin: null,
    streaming,
    priority: 'interactive',
    requestBody: '{}',
    requestHash: 'h',
    head: { operation, streaming, headers: {}, llmName, runMs: 60_000 },
    queueMs: 60_000,
    onDisconnect: 'continue',
    graceSeconds: null,
    retention: 'keep',
    tokenId: randomUUID(),
    ...given,
  };
}

/** What ended a task, of which Redis knows no more. */
export const endingOf = (outcome: Outcome): Ending => ({
  outcome,
  epoch: 1,
  claim: randomUUID(),
  session: '',
  llmId: '',
  claimedAt: null,
  firstEventAt: null,
  endedAt: null,
  streamedBytes: null,
});

/** What is enqueued of a task once its row is there. */
export function submissionOf(task: NewTask, epoch = 1): Submission {
  const { id: taskId, poolKey, ownerId, requestBody: body, head, priority, queueMs: waitMs } = task;
  return {
    taskId,
    poolKey,
    ownerId,
    pin: task.pin ?? undefined,
    epoch,
    body,
    head,
    priority,
    waitMs,
    policy: task,
  };
}

/** A task of ada's, accepted and enqueued in pool `p` unless told, as an edge does it. */
export async function submitTask(
  t: EdgeFixture,
  { attachment, ...given }: Partial<NewTask> & Pick<Submission, 'attachment'> = {},
): Promise<TaskRow> {
  const task = newTask({ ownerId: t.ada.id, ...given });
  const row = await t.registry.tasks.insert(task);
  await t.deps.queue.dispatch.enqueue({ ...submissionOf(task, row.epoch), attachment });
  return row;
}

/** What a duty is given, over the stores of an edge's fixture. */
export function dutyDeps(t: EdgeFixture): DutyDeps {
  const { liveness, clock, log, registry, queue, presence } = t.deps;
  return {
    config: readConfig({ DATABASE_URL: t.databaseUrl, REDIS_URL: t.redisUrl }, schedulerSettings),
    registry,
    queue: { ...queue, presence, name: 'redis', stop: () => undefined },
    flow: { ...flowOf(t.deps), liveness, by: 'scheduler' },
    pools: new OpenPools({ registry, queue, clock }),
    clock,
    log,
  };
}
