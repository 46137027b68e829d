import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { Submission } from '../../core/queue/dispatch.ts';
import { readConfig } from '../../core/runtime/config.ts';
import type { NewTask } from '../../core/registry/tasks.ts';
import type { TaskRow } from '../../core/task.ts';
import { schedulerSettings, type DutyDeps } from '../../scheduler/duties/duty.ts';
import { flowOf } from '../../edge/deps.ts';
import type { EdgeFixture } from './edge.ts';

const head = { operation: 'chat', streaming: false, headers: {}, llmName: 'p', runMs: 60_000 } as const;

/** A task of ada's, accepted and enqueued in pool `p` unless told, as an edge does it. */
export async function submitTask(
  t: EdgeFixture,
  more: Partial<NewTask> & Pick<Submission, 'attachment'> = {},
): Promise<TaskRow> {
  const { attachment, ...given } = more;
  const task: NewTask = {
    id: v7(),
    operation: 'chat',
    source: 'infer',
    poolKey: 'p',
    llmName: given.poolKey ?? 'p',
    pin: null,
    streaming: false,
    priority: 'interactive',
    requestBody: '{}',
    requestHash: 'h',
    head,
    queueMs: 60_000,
    onDisconnect: 'continue',
    graceSeconds: null,
    retention: 'keep',
    ownerId: t.ada.id,
    tokenId: randomUUID(),
    ...given,
  };
  const row = await t.registry.tasks.insert(task);
  const { poolKey, requestBody: body, priority, queueMs: waitMs, pin } = task;
  const ref = { taskId: row.id, poolKey, pin: pin ?? undefined };
  const work = { epoch: row.epoch, body, head, priority, waitMs, policy: task, attachment };
  await t.deps.queue.dispatch.enqueue({ ...ref, ...work });
  return row;
}

/** What a duty is given, over the stores of an edge's fixture. */
export function dutyDeps(t: EdgeFixture): DutyDeps {
  const { liveness, clock, log, registry, queue, presence } = t.deps;
  return {
    config: readConfig({ DATABASE_URL: t.databaseUrl, REDIS_URL: t.redisUrl }, schedulerSettings),
    registry,
    queue: { ...queue, presence, name: 'redis', stop: () => undefined },
    flow: { ...flowOf(t.deps), liveness },
    clock,
    log,
  };
}
