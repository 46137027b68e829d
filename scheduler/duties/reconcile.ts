import { McpctlError, messageOf } from '../../core/errors.ts';
import { closeRow } from '../../core/flow/close-row.ts';
import { layAnew, renewWaiting, requeueTask } from '../../core/flow/requeue.ts';
import { forgive, isForsaken, takeBack } from '../../core/flow/take-back.ts';
import { refOf } from '../../core/flow/deps.ts';
import { settleTask } from '../../core/flow/settle.ts';
import { rowEpochOf } from '../../core/queue/fence.ts';
import { lookAt, type Look } from '../../core/queue/look.ts';
import type { Entry } from '../../core/queue/stream.ts';
import { isTerminal, type TaskRow } from '../../core/task.ts';
import type { Duty, DutyDeps } from './duty.ts';

const OLD_ENOUGH_MS = 2_000;
const PAGE = 200;
/** Rows that are mended side by side. */
const TOGETHER = 10;

/** What a task needs that Postgres says has not ended. */
type Finding =
  'fine' | 'settle' | 'lost end' | 'renew' | 'renew waiting' | 'requeue' | 'back' | 'forgive' | 'close';

/**
 * Compares the rows that have not ended with what Redis knows, and mends the difference: every task is queued,
 * held by a live claim, or queued again. Rows go by id in pages, so that one that cannot be mended does not
 * keep the others.
 */
export function createReconcileDuty(deps: DutyDeps): Duty & { renew: Duty['run'] } {
  return {
    name: 'reconcile',
    everyMs: 5_000,
    run: (signal) => reconcileAll(deps, { olderThanMs: OLD_ENOUGH_MS, renews: false }, signal),
    /** Redis went back: whatever waits, however young, gets a new epoch besides. */
    renew: (signal) => reconcileAll(deps, { olderThanMs: 0, renews: true }, signal),
  };
}

interface How {
  olderThanMs: number;
  /** The epoch of what waits is not trusted. */
  renews: boolean;
}

async function reconcileAll(deps: DutyDeps, how: How, signal: AbortSignal): Promise<number> {
  let did = 0;
  let after: string | null = null;
  for (;;) {
    const rows = await deps.registry.tasks.openOlderThan(how.olderThanMs, { after, limit: PAGE });
    did += await reconcilePage(deps, how, rows);
    after = rows.at(-1)?.id ?? null;
    if (rows.length < PAGE || signal.aborted) return did;
  }
}

async function reconcilePage(deps: DutyDeps, { renews }: How, rows: readonly TaskRow[]): Promise<number> {
  const refs = rows.map((row) => ({ ...refOf(row), pin: row.pin ?? undefined }));
  const looks = await lookAt(deps.queue.redis, deps.queue.keys, refs);
  const mendOne = async (row: TaskRow, look: Look | null): Promise<number> => {
    const found = look ? await examine(deps, row, look) : 'renew';
    const finding = renews && look && isUnclaimed(look) && found === 'fine' ? 'renew waiting' : found;
    return finding !== 'fine' && (await mend(deps, { row, look, finding })) ? 1 : 0;
  };
  /** A row that cannot be mended holds up no other; a store that is away holds up all. */
  const tryOne = (row: TaskRow, look: Look | null): Promise<number> =>
    mendOne(row, look).catch((thrown: unknown) => {
      if (thrown instanceof McpctlError && thrown.code === 'unavailable') throw thrown;
      deps.log.warn({ taskId: row.id, why: messageOf(thrown) }, 'a task could not be reconciled');
      return 0;
    });
  let did = 0;
  for (let at = 0; at < rows.length; at += TOGETHER) {
    const few = rows.slice(at, at + TOGETHER).map((row, i) => tryOne(row, looks[at + i] ?? null));
    for (const done of await Promise.all(few)) did += done;
  }
  return did;
}

const isUnclaimed = ({ fence }: Look): boolean => fence.state === 'open' && fence.claim === '';

/** A member that has taken a job claims it within this, by Redis's clock. */
const TO_CLAIM_MS = 2_000;

/**
 * Everything that is compared here is of one instant (look.lua), and what is done about it compares once more: a look
 * that has grown old changes nothing.
 */
async function examine({ flow }: DutyDeps, row: TaskRow, look: Look): Promise<Finding> {
  const { fence, last, running, waiting, takenMs } = look;
  if (fence.state === 'ended') {
    if (last?.kind === 'end') return 'settle';
    return fence.shown === '' ? 'renew' : 'lost end';
  }
  if (fence.state === 'closed') return 'close';
  // The row's epoch may have been laid down before, by who allocated it, and lost with Redis: only a new one is safe.
  if (rowEpochOf(fence) < row.epoch) return fence.shown === '' ? 'renew' : 'fine';
  if (fence.state === 'released') return 'back';
  // A claim is the reaper's to judge, by its beats; but one that left the index of running tasks is nobody's.
  if (fence.claim !== '') return running ? 'fine' : 'requeue';
  // Who has just taken the job is about to claim: judged again at the next turn.
  const isWaiting = waiting || (takenMs !== null && takenMs < TO_CLAIM_MS);
  if (!isWaiting) return 'requeue';
  if (fence.excluded === '') return 'fine';
  return isForsaken(await flow.liveness.loadPool(row.poolName), row, fence) ? 'forgive' : 'fine';
}

async function mend(
  deps: DutyDeps,
  found: { row: TaskRow; look: Look | null; finding: Finding },
): Promise<boolean> {
  const { row, look, finding } = found;
  const { flow } = deps;
  if (!look) return await layAnew(flow, row, null);
  const { fence, last } = look;
  switch (finding) {
    case 'fine':
      return false;
    case 'settle':
      return last?.kind === 'end' && isTerminal((await settleTask(flow, refOf(row), last.ending)).status);
    case 'lost end':
      return (await lostEnd(deps, row)) !== null;
    case 'close':
      return (await finishClose(deps, row, last)) !== null;
    case 'renew':
      return await layAnew(flow, row, fence);
    case 'renew waiting':
      return await renewWaiting(flow, { row, fence });
    case 'back':
      return (await takeBack(flow, { row, fence })) !== 'moved';
    case 'forgive':
      return await forgive(flow, { row, fence });
    case 'requeue':
      return (await requeueTask(flow, { row, fence })) === 'ok';
  }
}

/** Somebody closed the fence and died before the row was written: what the stream says is the outcome. */
async function finishClose({ flow }: DutyDeps, row: TaskRow, last: Entry | null): Promise<TaskRow | null> {
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

/** The fence says ended, but the end itself is gone: the outcome of what was shown cannot be known any more. */
async function lostEnd({ flow }: DutyDeps, row: TaskRow): Promise<TaskRow | null> {
  const message = 'The answer was complete, but was lost with Redis before it could be recorded.';
  return await closeRow(flow, row.id, { status: 'error', code: 'worker_lost', message });
}
