import { closeRow, insert, nextEpoch, settle } from './postgres.ts';
import { add, close, end, enqueue, finishJob, requeue, type Has } from './redis.ts';
import { beats } from './workers.ts';
import { breaks, flow, isTerminal, type Flow, type State, type Step } from './state.ts';

/**
 * core/flow and the duties, one round trip a step: between any two of them the process may die, and everybody
 * else may act. @returns what comes next; null when the flow is over.
 */
export function stepOf(has: Has, s: State, f: Flow): Step | null {
  if (f.why !== 'put out' || f.next === 'find claim' || f.next === 'mark') return usualStep(has, s, f);
  return usualStep(has, s, f) ?? 'find claim'; // until nothing runs there any more
}

function usualStep(has: Has, s: State, f: Flow): Step | null {
  switch (f.next) {
    case 'insert':
      insert(s);
      f.newEpoch = 1;
      return 'enqueue';
    case 'enqueue':
      if (enqueue(has, s, f.newEpoch) === 'no') return null;
      f.job = f.newEpoch;
      return 'add';
    case 'add':
      add(s, f.job);
      return null;
    case 'read row':
      return readRow(has, s, f);
    case 'read fence':
      return examine(has, s, f);
    case 'bump':
      return bump(has, s, f);
    case 'requeue':
      return afterRequeue(has, s, f);
    case 'end':
      end(has, s, { id: f.claim, outcome: 'error' });
      return null;
    case 'settle':
      settle(has, s, { claim: f.claim, outcome: f.outcome });
      return null;
    case 'finish close':
      closeRow(has, s, f.outcome);
      return null;
    case 'close fence':
      return closeFence(has, s, f);
    case 'close row':
      closeRow(has, s, f.outcome);
      return has('cancel closes the fence before the row') ? 'withdraw' : 'close fence';
    case 'mark':
      s.marked = true;
      return has('the mark is laid before claims are read') ? 'find claim' : isPutOut(s);
    case 'find claim':
      return findClaim(has, s, f);
    case 'withdraw':
      withdraw(s, f);
      return null;
  }
}

/** The row, as reap and hand-back read it: after the fence. */
function readRow(has: Has, s: State, f: Flow): Step | null {
  f.rowEpoch = s.row.epoch;
  if (f.shown !== 0 && has('requeue refuses a shown claim')) return endShown(has, f);
  if (f.why !== 'put out' && f.rowEpoch !== f.epoch && has('a requeue begins where fence and row agree'))
    return null;
  return 'bump';
}

const endShown = (has: Has, f: Flow): Step | null =>
  (f.why === 'reap' && has('reap ends what was shown')) ||
  (f.why === 'put out' && has('putting out ends what was shown'))
    ? 'end'
    : null;

/** core/flow/put-out.ts: first nothing more is claimed, then what runs is taken away. */
export const putOut = (has: Has, by: Flow['by']): Flow =>
  flow(by, 'put out', has('the mark is laid before claims are read') ? 'mark' : 'find claim');

function findClaim(has: Has, s: State, f: Flow): Step | null {
  const { fence } = s;
  if (fence?.foul && fence.state === 'open' && !isTerminal(s.row)) {
    Object.assign(f, { epoch: fence.epoch, claim: fence.claim, job: fence.job, shown: fence.shown });
    return fence.shown !== 0 && !has('putting out ends what was shown') ? isPutOut(s) : 'read row';
  }
  return has('the mark is laid before claims are read') ? isPutOut(s) : 'mark';
}

function isPutOut(s: State): null {
  s.truth.putOut = true;
  return null;
}

const isCrash = (has: Has, { why }: Flow): boolean =>
  why === 'reap' || (why === 'put out' && !has('who is put out did not crash'));

function bump(has: Has, s: State, f: Flow): Step | null {
  if (has('epochs come from the row')) {
    f.newEpoch = nextEpoch(has, s, { seen: f.rowEpoch, crash: isCrash(has, f) });
  } else f.newEpoch = isTerminal(s.row) ? 0 : (s.fence?.epoch ?? 0) + 1;
  if (f.newEpoch === 0) return null;
  return f.epoch === 0 ? 'enqueue' : 'requeue';
}

function afterRequeue(has: Has, s: State, f: Flow): Step | null {
  switch (requeue(has, s, f)) {
    case 'nojob':
      return 'add';
    case 'absent':
      return 'enqueue';
    case 'shown':
      return endShown(has, f);
    case 'ok':
    case 'moved':
    case 'closed':
      return null;
  }
}

/** The reconciler has read the row; now what Redis knows. */
function examine(has: Has, s: State, f: Flow): Step | null {
  const { fence } = s;
  f.newEpoch = f.rowEpoch;
  if (!fence) return has('a lost fence comes back under a new epoch') ? 'bump' : 'enqueue';
  const last = s.stream.at(-1);
  Object.assign(f, { epoch: fence.epoch, claim: fence.claim, job: fence.job, shown: fence.shown });
  if (fence.state === 'ended') {
    if (!has('ends are settled by a duty too')) return null;
    f.outcome = last?.kind === 'end' ? last.outcome : 'error';
    f.claim = last?.claim ?? 0;
    return 'settle';
  }
  if (fence.state === 'closed') {
    f.outcome = last?.outcome ?? 'cancelled';
    return has('reconcile finishes a close') ? 'finish close' : null;
  }
  if (fence.epoch < f.rowEpoch) {
    if (fence.shown !== 0 || !has('reconcile enqueues a fence that fell behind')) return null;
    if (!has('an epoch is laid down once')) return 'enqueue';
    f.epoch = 0;
    return 'bump';
  }
  const requeues = fence.shown === 0 ? 'bump' : null;
  if (fence.state === 'released') return has('what was handed back is requeued') ? requeues : null;
  if (f.why === 'renew' && fence.claim === 0) return 'bump';
  if (fence.claim !== 0) return s.indexed ? null : requeues;
  return isWaiting(s) || !has('reconcile finds a lost job') ? null : requeues;
}

function isWaiting(s: State): boolean {
  const job = s.jobs.find((j) => j.id === s.fence?.job);
  return (
    job?.at === 'wait' || (job?.at === 'active' && s.runs.some((r) => r.id === job.by && r.at === 'fetched'))
  );
}

function closeFence(has: Has, s: State, f: Flow): Step | null {
  const mode = f.why === 'cancel' || f.why === 'give up' ? f.why : 'expire';
  const { claim, job } = s.fence ?? { claim: 0, job: 0 };
  if (close(has, s, { mode, seen: f.epoch, outcome: f.outcome }) !== 'closed') return null;
  Object.assign(f, { claim, job });
  return has('cancel closes the fence before the row') ? 'close row' : 'withdraw';
}

/** Best effort, as it is: the job is taken away, or the run is told. */
function withdraw(s: State, f: Flow): void {
  const run = s.runs.find((r) => r.id === f.claim);
  if (run) finishJob(s, run);
  if (f.claim !== 0) s.runs = s.runs.filter((r) => r !== run);
  else s.jobs = s.jobs.filter((job) => job.id !== f.job || job.at !== 'wait');
}

/** What the leader finds to do now, as flows about to take their next step. */
export function flowsToBegin(has: Has, s: State): Flow[] {
  const { fence, row } = s;
  const flows: Flow[] = [];
  const seen = fence && { epoch: fence.epoch, claim: fence.claim, job: fence.job, shown: fence.shown };
  if (fence && fence.claim !== 0 && s.indexed && row.status !== 'none') {
    flows.push({ ...flow('S', 'reap', 'read row'), ...seen });
  }
  if (fence?.state === 'released' && has('what was handed back is requeued')) {
    flows.push({ ...flow('S', 'back', 'read row'), ...seen });
  }
  const last = s.stream.at(-1);
  if (last?.kind === 'end' && row.status === 'open' && has('ends are settled by a duty too')) {
    flows.push({ ...flow('S', 'settle', 'settle'), claim: last.claim, outcome: last.outcome });
  }
  if (row.status === 'open') flows.push({ ...flow('S', 'reconcile', 'read fence'), rowEpoch: row.epoch });
  const isUnderWay = s.flows.some((f) => f.why === 'put out');
  if (s.revoked && !s.truth.putOut && !isUnderWay && has('a duty puts out too')) flows.push(putOut(has, 'S'));
  if (s.distrusted) flows.unshift({ ...flow('S', 'renew', 'read fence'), rowEpoch: row.epoch });
  return flows;
}

/** Whether the claim's worker beats: for a zombie's beats too, where they are not told apart. */
function seemsAlive(has: Has, s: State): boolean {
  return s.runs.some((run) => beats(run) && (run.id === s.fence?.claim || !has('beat checks the claim')));
}

/** What the reaper may do to a claim; null: nothing. */
export function verdict(has: Has, s: State): 'dead' | 'false death' | null {
  if (!seemsAlive(has, s)) return 'dead';
  if (s.blind && !has('the brake holds while nobody could beat')) {
    breaks(s, 'a worker that lives was taken for dead because Redis was away');
    return 'dead';
  }
  return s.left.falseDeath > 0 ? 'false death' : null;
}
