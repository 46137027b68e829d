import type { Assembled } from '../../core/agent/assemble.ts';
import { answerOfClose } from '../../core/flow/end/answer.ts';
import { layManyAnew } from '../../core/flow/lay-many.ts';
import { renewWaiting, requeueTask } from '../../core/flow/requeue.ts';
import { forgive, isForsaken, takeBack } from '../../core/flow/take-back.ts';
import { refOf, type FlowDeps } from '../../core/flow/deps.ts';
import { closeRow, settleTask } from '../../core/flow/end/settle.ts';
import { rowEpochOf, type Fence } from '../../core/queue/task/fence.ts';
import type { Look } from '../../core/queue/jobs/look.ts';
import type { Entry } from '../../core/queue/task/stream.ts';
import { EachItem, type Acted } from '../../core/runtime/each-item.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import { OpenWalk, PAGE, PAGES } from '../open-walk.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const OLD_ENOUGH_MS = 2_000;
const LANES = 8;
/** What a task needs that Postgres says has not ended. */
type Finding =
  'fine' | 'settle' | 'lost end' | 'renew' | 'renew waiting' | 'requeue' | 'back' | 'forgive' | 'close';

interface Found {
  row: TaskRow;
  look: Look | null;
  finding: Finding;
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
  const eachOf = (renews: boolean): EachItem<TaskRow> =>
    new EachItem<TaskRow>({
      name: 'reconcile',
      idOf: ({ id }) => id,
      act: (rows) => reconcilePage(deps, renews, rows),
      giveUp: async (row, why) => {
        const message = `The task could not be queued again: ${why}`;
        await closeRow(deps.flow, row.id, { status: 'error', code: 'internal', message });
      },
      together: PAGE,
      lanes: PAGES,
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
    await walk.through(signal, how, async (rows) => {
      const round = await each.run(rows, signal);
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

async function reconcilePage(
  deps: DutyDeps,
  renews: boolean,
  rows: readonly TaskRow[],
): Promise<Acted<TaskRow>> {
  const refs = rows.map((row) => ({ ...refOf(row), pin: row.pin ?? undefined }));
  const looks = await deps.queue.jobs.look(refs);
  const failed = new Map<TaskRow, unknown>();
  const toMend: Found[] = [];
  for (const [i, row] of rows.entries()) {
    const look = looks[i] ?? null;
    if (look instanceof Error) {
      failed.set(row, look);
      continue;
    }
    try {
      const seen = look ? await examine(deps, row, look) : 'renew';
      const finding = renews && look && isUnclaimed(look) && seen === 'fine' ? 'renew waiting' : seen;
      if (finding !== 'fine') toMend.push({ row, look, finding });
    } catch (thrown) {
      failed.set(row, thrown);
    }
  }
  const lost = toMend.filter(({ finding }) => finding === 'renew');
  const laid = await layManyAnew(
    deps.flow,
    lost.map(({ row, look }) => ({ row, seen: look?.fence ?? null })),
  );
  for (const [row, thrown] of laid.failed) failed.set(row, thrown);
  const others = toMend.filter(({ finding }) => finding !== 'renew');
  let did = laid.did;
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let one = others[next++]; one; one = others[next++]) {
      try {
        if (await mend(deps, one)) did += 1;
      } catch (thrown) {
        failed.set(one.row, thrown);
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
  if (!look) return false;
  const { fence, last } = look;
  switch (finding) {
    case 'fine':
    case 'renew':
      return false; // those that Redis has lost go together
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
