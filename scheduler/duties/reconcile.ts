import type { Assembled } from '../../core/agent/assemble.ts';
import { answerOfClose } from '../../core/flow/end/answer.ts';
import { layManyAnew, type Lost } from '../../core/flow/lay-many.ts';
import { renewWaiting, requeueTask } from '../../core/flow/requeue.ts';
import { forgive, isForsaken, takeBack } from '../../core/flow/take-back.ts';
import type { FlowDeps } from '../../core/flow/deps.ts';
import { closeRow, settleTask } from '../../core/flow/end/settle.ts';
import { byPool, rowEpochOf, type Fence } from '../../core/queue/task/fence.ts';
import type { Look } from '../../core/queue/jobs/look.ts';
import type { Entry } from '../../core/queue/task/stream.ts';
import { EachItem, type Acted } from '../../core/runtime/each-item.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import type { OpenRef } from '../../core/registry/tasks/task-upkeep.ts';
import { OpenWalk } from '../open-walk.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const OLD_ENOUGH_MS = 2_000;
const LANES = 8;
/** Tasks that are looked at and mended together; while some wait for Postgres others have Redis. */
const TOGETHER = 500;
const BATCHES = 3;
/** For a page of all that is open (open-walk.ts), also where Redis is slow. */
const PAGE_MS = 60_000;
/** What a task needs that Postgres says has not ended. */
type Finding = 'fine' | 'settle' | 'lost end' | 'renew' | 'requeue' | 'back' | 'forgive' | 'close';

interface Found {
  ref: OpenRef;
  row: TaskRow;
  look: Look;
  finding: Exclude<Finding, 'fine' | 'renew'> | 'renew waiting';
}

export interface Reconcile extends Duty {
  /** Goes through all that is open, at once: Redis came back empty. */
  runAll: (signal: AbortSignal) => Promise<number>;
  /** The same, and whatever waits, however young, gets a new epoch besides: Redis went back. */
  renew: (signal: AbortSignal) => Promise<number>;
}

/** How rows are gone through. */
interface How {
  olderThanMs: number;
  /** The epoch of what waits is not trusted. */
  renews: boolean;
  /** Through all of them, however long that takes. */
  all: boolean;
}

/**
 * Compares the rows that have not ended with what Redis knows, and mends the difference: every task is queued,
 * held by a live claim, or queued again.
 */
export function createReconcileDuty(deps: DutyDeps): Reconcile {
  const { queue, clock, log } = deps;
  const eachOf = (renews: boolean): EachItem<OpenRef> =>
    new EachItem<OpenRef>({
      name: 'reconcile',
      idOf: ({ taskId }) => taskId,
      act: (refs) => reconcileSome(deps, renews, refs),
      giveUp: async ({ taskId }, why) => {
        const message = `The task could not be queued again: ${why}`;
        await closeRow(deps.flow, taskId, { status: 'error', code: 'internal', message });
      },
      together: TOGETHER,
      lanes: BATCHES,
      budgetMs: PAGE_MS,
      actMs: 45_000,
      clock,
      log,
    });
  const plain = eachOf(false);
  const renewing = eachOf(true);
  const walk = new OpenWalk(deps);
  let isNewConnection = true;
  queue.server.onReady(() => (isNewConnection = true));
  /** Whoever goes through all leaves nothing to do for a turn beside it: two would undo and repeat each other's work. */
  let allUnderWay = 0;

  const goOn = async (signal: AbortSignal, { renews, ...how }: How): Promise<number> => {
    const each = renews ? renewing : plain;
    const total = { did: 0, left: 0, failed: 0, ended: 0 };
    await walk.through(signal, how, async (refs) => {
      // Those of one pool next to each other: what Redis has lost of them is laid down together.
      const round = await each.run([...byPool(refs).values()].flat(), signal);
      total.did += round.did;
      total.left += round.left;
      total.failed += round.failed;
      total.ended += round.ended;
      return round.did;
    });
    return announced(deps, 'reconcile', total);
  };
  const through = async (signal: AbortSignal, how: How): Promise<number> => {
    if (!how.all) return allUnderWay > 0 ? 0 : await goOn(signal, how);
    allUnderWay += 1;
    try {
      return await goOn(signal, how);
    } finally {
      allUnderWay -= 1;
    }
  };
  return {
    name: 'reconcile',
    everyMs: 5_000,
    async run(signal) {
      const all = isNewConnection && allUnderWay === 0;
      isNewConnection = false;
      return await through(signal, { all, renews: false, olderThanMs: OLD_ENOUGH_MS });
    },
    runAll: (signal) => through(signal, { all: true, renews: false, olderThanMs: OLD_ENOUGH_MS }),
    renew: (signal) => through(signal, { all: true, renews: true, olderThanMs: 0 }),
  };
}

async function reconcileSome(
  deps: DutyDeps,
  renews: boolean,
  refs: readonly OpenRef[],
): Promise<Acted<OpenRef>> {
  const { registry, queue, flow } = deps;
  const failed = new Map<OpenRef, unknown>();
  const looks = await queue.jobs.look(refs.map((ref) => ({ ...ref, pin: ref.pin ?? undefined })));
  const refById = new Map(refs.map((ref) => [ref.taskId, ref]));
  const seen = new Map<string, Look>();
  const lost: Lost[] = [];
  for (const [at, ref] of refs.entries()) {
    const look = looks[at];
    if (look instanceof Error) failed.set(ref, look);
    else if (look) seen.set(ref.taskId, look);
    else lost.push({ ref, seen: null });
  }
  const rows = await registry.tasks.byIds([...seen.keys()]);
  const others: Found[] = [];
  for (const row of rows) {
    const [ref, look] = [refById.get(row.id), seen.get(row.id)];
    if (!ref || !look || isTerminal(row.status)) continue;
    try {
      const finding = await examine(deps, row, look);
      if (finding === 'renew') lost.push({ ref: { ...ref, epoch: row.epoch }, seen: look.fence });
      else if (renews && isUnclaimed(look) && finding === 'fine')
        others.push({ ref, row, look, finding: 'renew waiting' });
      else if (finding !== 'fine') others.push({ ref, row, look, finding });
    } catch (thrown) {
      failed.set(ref, thrown);
    }
  }
  const laid = await layManyAnew(flow, lost);
  for (const [taskId, thrown] of laid.failed) {
    const ref = refById.get(taskId);
    if (ref) failed.set(ref, thrown);
  }
  let did = laid.did;
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let one = others[next++]; one; one = others[next++]) {
      try {
        if (await mend(deps, one)) did += 1;
      } catch (thrown) {
        failed.set(one.ref, thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { did, failed };
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

async function mend(deps: DutyDeps, { row, look, finding }: Found): Promise<boolean> {
  const { flow } = deps;
  const { fence, last } = look;
  switch (finding) {
    case 'settle':
      return last?.kind === 'end' && isTerminal((await settleTask(flow, row, last.ending)).status);
    case 'lost end':
      return (await lostEnd(deps, { row, fence })) !== null;
    case 'close':
      return (await finishClose(deps, { row, fence, last })) !== null;
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
async function finishClose(
  { flow }: DutyDeps,
  { row, fence, last }: { row: TaskRow; fence: Fence | null; last: Entry | null },
): Promise<TaskRow | null> {
  const answer = await shownOf(flow, row, fence);
  const outcome = last?.kind === 'closed' ? last.outcome : null;
  if (outcome?.kind === 'failed')
    return await closeRow(flow, row.id, {
      status: 'error',
      code: outcome.code,
      message: outcome.message,
      answer,
    });
  return await closeRow(flow, row.id, {
    status: 'cancelled',
    code: 'task_cancelled',
    message: 'The task was cancelled.',
    answer,
  });
}

/** The fence says ended, but the end itself is gone: the outcome of what was shown cannot be known any more. */
async function lostEnd(
  { flow }: DutyDeps,
  { row, fence }: { row: TaskRow; fence: Fence | null },
): Promise<TaskRow | null> {
  const answer = await shownOf(flow, row, fence);
  const message = 'The answer was complete, but was lost with Redis before it could be recorded.';
  return await closeRow(flow, row.id, { status: 'error', code: 'worker_lost', message, answer });
}

/** Of a turn what its caller was shown before the end that was lost. */
const shownOf = (flow: FlowDeps, row: TaskRow, fence: Fence | null): Promise<Assembled | null> =>
  answerOfClose(flow, row, { claim: fence?.claim ?? '', wasShown: fence !== null && fence.shown !== '' });
