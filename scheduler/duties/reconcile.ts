import { closeRow } from '../../core/flow/close-row.ts';
import { enqueueRow, requeueTask } from '../../core/flow/requeue.ts';
import { forgive, isForsaken, takeBack } from '../../core/flow/take-back.ts';
import { refOf } from '../../core/flow/deps.ts';
import { settleTask } from '../../core/flow/settle.ts';
import { readFences, type Fence } from '../../core/queue/fence.ts';
import { redisNow } from '../../core/queue/redis-time.ts';
import { readLast } from '../../core/queue/stream.ts';
import { isTerminal, type TaskRow } from '../../core/task.ts';
import type { Duty, DutyDeps } from './duty.ts';

const OLD_ENOUGH_MS = 2_000;
const PAGE = 200;

/** What a task needs that Postgres says has not ended. */
type Finding = 'fine' | 'settle' | 'renew' | 'requeue' | 'back' | 'forgive' | 'close';

/**
 * Compares the rows that have not ended with what Redis knows, and mends the difference: every task is queued,
 * held by a live claim, or queued again. Rows go by id in pages, so that one that cannot be mended does not
 * keep the others.
 */
export function createReconcileDuty(deps: DutyDeps): Duty {
  return {
    name: 'reconcile',
    everyMs: 5_000,
    async run(signal) {
      let did = 0;
      let after: string | null = null;
      for (;;) {
        const rows = await deps.registry.tasks.openOlderThan(OLD_ENOUGH_MS, { after, limit: PAGE });
        did += await reconcilePage(deps, rows);
        after = rows.at(-1)?.id ?? null;
        if (rows.length < PAGE || signal.aborted) return did;
      }
    },
  };
}

async function reconcilePage(deps: DutyDeps, rows: readonly TaskRow[]): Promise<number> {
  const fences = await readFences(deps.queue.redis, deps.queue.keys, rows.map(refOf));
  let did = 0;
  for (const [i, row] of rows.entries()) {
    const fence = fences[i] ?? null;
    const finding = fence ? await examine(deps, row, fence) : 'renew';
    if (finding !== 'fine' && (await mend(deps, { row, fence, finding }))) did += 1;
  }
  return did;
}

async function examine({ queue, flow }: DutyDeps, row: TaskRow, fence: Fence): Promise<Finding> {
  if (fence.state === 'ended') return 'settle';
  if (fence.state === 'closed') return 'close';
  // The row's epoch may have been laid down before, by who allocated it, and lost with Redis: only a new one is safe.
  if (fence.epoch < row.epoch) return fence.shown === '' ? 'renew' : 'fine';
  if (fence.state === 'released') return 'back';
  // A claim is the reaper's to judge, by its beats; but one that left the index of running tasks is nobody's.
  const pool = queue.keys.pool(row.poolName);
  if (fence.claim !== '') return (await queue.redis.zscore(pool.run, row.id)) === null ? 'requeue' : 'fine';
  if (!(await isWaiting(queue, row, fence))) return 'requeue';
  if (fence.excluded === '') return 'fine';
  return isForsaken(await flow.liveness.loadPool(row.poolName), row, fence) ? 'forgive' : 'fine';
}

/** Whether the task's job is where a member will take it from. One that is active without a claim is not. */
async function isWaiting({ redis, keys }: DutyDeps['queue'], row: TaskRow, fence: Fence): Promise<boolean> {
  const prefix = `${keys.namespace}:${keys.pool(row.poolName).queue(row.pin ?? undefined)}`;
  const [wait, prioritized, active] = await Promise.all([
    redis.lpos(`${prefix}:wait`, fence.job),
    redis.zscore(`${prefix}:prioritized`, fence.job),
    redis.lpos(`${prefix}:active`, fence.job),
  ]);
  if (wait !== null || prioritized !== null) return true;
  // A member has just taken it and is about to claim: judged again at the next turn, when it is older.
  return active !== null && (await isFreshlyTaken(redis, `${prefix}:${fence.job}`));
}

const TO_CLAIM_MS = 2_000;

async function isFreshlyTaken(redis: DutyDeps['queue']['redis'], jobKey: string): Promise<boolean> {
  const [takenAt, now] = await Promise.all([redis.hget(jobKey, 'processedOn'), redisNow(redis)]);
  return takenAt !== null && now - Number(takenAt) < TO_CLAIM_MS;
}

async function mend(
  deps: DutyDeps,
  found: { row: TaskRow; fence: Fence | null; finding: Finding },
): Promise<boolean> {
  const { row, fence, finding } = found;
  const { registry, flow, queue } = deps;
  switch (finding) {
    case 'fine':
      return false;
    case 'settle': {
      const last = await readLast(queue.redis, queue.keys.pool(row.poolName).task(row.id).stream);
      if (last?.kind !== 'end') return (await lostEnd(deps, row)) !== null;
      return isTerminal((await settleTask(flow, refOf(row), last.ending)).status);
    }
    case 'close':
      return (await finishClose(deps, row)) !== null;
    case 'renew': {
      const renewed = await registry.tasks.nextEpoch(row.id, row.epoch);
      return renewed !== null && (await enqueueRow(flow, renewed));
    }
    case 'back':
      return fence !== null && (await takeBack(flow, { row, fence })) !== 'moved';
    case 'forgive':
      return fence !== null && (await forgive(flow, { row, fence }));
    case 'requeue':
      return fence !== null && (await requeueTask(flow, { row, fence })) === 'ok';
  }
}

/** Somebody closed the fence and died before the row was written: what the stream says is the outcome. */
async function finishClose({ flow, queue }: DutyDeps, row: TaskRow): Promise<TaskRow | null> {
  const last = await readLast(queue.redis, queue.keys.pool(row.poolName).task(row.id).stream);
  const outcome = last?.kind === 'closed' ? last.outcome : null;
  if (outcome?.kind === 'failed')
    return await closeRow(flow, row.id, {
      status: 'error',
      code: outcome.code,
      message: outcome.message,
    });
  return await closeRow(flow, row.id, {
    status: 'cancelled',
    code: 'task_cancelled',
    message: 'The task was cancelled.',
  });
}

/** The fence says ended, but the end itself is gone: the outcome cannot be known any more. */
async function lostEnd({ flow }: DutyDeps, row: TaskRow): Promise<TaskRow | null> {
  const message = 'The answer was complete, but was lost with Redis before it could be recorded.';
  return await closeRow(flow, row.id, { status: 'error', code: 'worker_lost', message });
}
