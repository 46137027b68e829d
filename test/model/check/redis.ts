import type { Rule } from './rules.ts';
import { breaks, isTerminal, type Entry, type Fence, type Run, type State } from './state.ts';

/** The scripts of core/queue/scripts, line by line; a rule that is off is a line left out. */
export type Has = (rule: Rule) => boolean;

export function enqueue(has: Has, s: State, epoch: number): 'laid' | 'there' | 'no' {
  const { fence } = s;
  if (fence) {
    if ((fence.state === 'ended' || fence.state === 'closed') && has('enqueue never opens a closed fence'))
      return 'no';
    if (fence.epoch > epoch && has('enqueue never lowers an epoch')) return 'no';
    if (fence.epoch === epoch && has('enqueue of the same epoch changes nothing')) return 'there';
    if (fence.shown !== 0 && has('enqueue leaves a shown claim alone')) return 'no';
    if (fence.state === 'ended' || fence.state === 'closed') breaks(s, 'I4: a closed fence opened again');
    startsOver(s, fence, epoch);
  }
  s.fence = { epoch, state: 'open', claim: 0, shown: 0, job: epoch, seq: 0, foul: false };
  s.stream = [];
  return 'laid';
}

export function claim(has: Has, s: State, run: Pick<Run, 'id' | 'job' | 'foul'>): number | null {
  const { fence } = s;
  if (!fence) return null;
  if (fence.state !== 'open' && has('claim needs an open fence')) return null;
  if (fence.claim !== 0 && has('claim needs an unclaimed fence')) return null;
  if (fence.job !== run.job) return null;
  if (run.foul && s.marked && has('a claim asks whether its session was put out')) return null;
  if (run.foul && s.truth.putOut) breaks(s, 'S4: what was put out was given a task');
  if (s.truth.closed) breaks(s, 'I9: a cancelled task was claimed');
  if (isTerminal(s.row) && !s.truth.lost) breaks(s, 'I9: a task that had ended was claimed');
  fence.claim = run.id;
  fence.foul = run.foul;
  s.indexed = true;
  return fence.epoch;
}

function append(s: State, fence: Fence, entry: Omit<Entry, 'epoch' | 'seq'>): void {
  if (s.stream.some((e) => e.kind !== 'event')) {
    breaks(s, entry.kind === 'event' ? 'I3: an event after the end' : 'I3: a second end');
  }
  const { putOut } = s.truth;
  if (putOut && fence.foul && entry.claim === fence.claim && !isTerminal(s.row))
    breaks(s, 'S4: what was put out was heard');
  s.stream = [...s.stream, { epoch: fence.epoch, seq: fence.seq + 1, ...entry }];
}

/** What callers have seen of a claim is never taken back, and no epoch comes twice. */
function startsOver(s: State, fence: Fence, epoch: number): void {
  if (s.truth.shown !== 0 && s.truth.shown === fence.claim) breaks(s, 'I7: what was shown was started over');
  // What is pinned is lost with Redis; then the journal alone knows.
  if (s.truth.given === fence.claim && fence.claim !== 0 && !s.truth.lost)
    breaks(s, 'N3: what was given was started over');
  if (fence.epoch > epoch) breaks(s, 'I4: an epoch fell');
  if (fence.epoch === epoch && fence.claim !== 0) breaks(s, 'I4: an epoch came twice');
}

/**
 * @param n the event's place in what its run says; the same again is a call that was sent twice.
 * @param isHeard an edge whose caller waits is told it in the same moment, and shows it without asking.
 */
export function emit(
  has: Has,
  s: State,
  { id, n, isHeard = false }: { id: number; n: number; isHeard?: boolean },
): boolean {
  const { fence } = s;
  if (!fence) return false;
  if (fence.claim !== id && has('emit checks the claim')) return false;
  if (fence.state !== 'open' && has('emit needs an open fence')) return false;
  if (n > fence.seq + 1) return false; // Redis has lost what came before
  if (n !== fence.seq + 1 && has('emit adds an event once')) return true;
  append(s, fence, { kind: 'event', claim: id, n, outcome: '' });
  fence.seq += 1;
  if (isHeard && has('what a waiting edge is told is pinned')) fence.shown = fence.claim;
  return true;
}

/** @param by.seq how many events the claim has said, where that is known. */
export function end(
  has: Has,
  s: State,
  by: { id: number; outcome: Entry['outcome']; seq?: number },
): boolean {
  const { fence } = s;
  if (!fence) return false;
  if (fence.claim !== by.id && has('end checks the claim')) return false;
  if (fence.state === 'ended' && has('end is said once')) return true;
  if (fence.state !== 'open' && fence.state !== 'ended' && has('end needs an open fence')) return false;
  const { seq = fence.seq } = by;
  if (seq !== fence.seq && has('an end needs all its events')) return false;
  if (fence.claim !== by.id) breaks(s, 'I4: a claim was ended by another');
  append(s, fence, { kind: 'end', claim: by.id, n: seq, outcome: by.outcome });
  Object.assign(fence, { state: 'ended', seq: fence.seq + 1 });
  s.indexed = false;
  return true;
}

/** @returns whether events of this epoch may be shown. */
export function show(has: Has, s: State, epoch: number): boolean {
  const { fence } = s;
  if (!fence) return false;
  if ((fence.epoch !== epoch && has('show compares the epoch')) || fence.claim === 0) return false;
  if (fence.shown === fence.claim) return true;
  if (fence.state !== 'open' && fence.state !== 'ended' && has('show refuses what was handed back'))
    return false;
  fence.shown = fence.claim;
  return true;
}

/** @returns whether the claim is pinned: whoever does what was asked may be given it. */
export function deliver(has: Has, s: State, id: number): boolean {
  const { fence } = s;
  if (!fence) return false;
  if (fence.claim !== id && has('the pin of a call compares the claim')) return false;
  if (fence.state !== 'open') return false;
  fence.shown = fence.claim;
  return true;
}

export function handBack(has: Has, s: State, id: number): 'ok' | 'lost' | 'shown' {
  const { fence } = s;
  if (!fence || fence.claim !== id) return 'lost';
  if (fence.state === 'released') return 'ok';
  if (fence.state !== 'open') return 'lost';
  if (fence.shown !== 0 && has('hand-back refuses a shown claim')) return 'shown';
  fence.state = 'released';
  s.indexed = false;
  return 'ok';
}

export interface Seen {
  epoch: number;
  claim: number;
  job: number;
  newEpoch: number;
}

export function requeue(
  has: Has,
  s: State,
  seen: Seen,
): 'ok' | 'nojob' | 'absent' | 'moved' | 'closed' | 'shown' {
  const { fence } = s;
  if (!fence) return 'absent';
  if (!(fence.epoch === seen.newEpoch && fence.claim === 0)) {
    const same = fence.epoch === seen.epoch && fence.claim === seen.claim;
    if (!same && has('requeue compares epoch and claim')) return 'moved';
    const over = fence.state === 'ended' || fence.state === 'closed';
    if (over && has('requeue never opens a closed fence')) return 'closed';
    if (over) breaks(s, 'I4: a closed fence opened again');
    if (fence.shown !== 0 && has('requeue refuses a shown claim')) return 'shown';
    startsOver(s, fence, seen.newEpoch);
    Object.assign(fence, { epoch: seen.newEpoch, state: 'open', claim: 0, seq: 0, foul: false });
    s.stream = [];
  }
  s.indexed = false;
  const job = s.jobs.find((j) => j.id === seen.job);
  if (!job) return 'nojob';
  if (job.at === 'wait') return 'ok';
  if (job.at === 'active') {
    Object.assign(job, { at: 'wait', by: 0 });
    return 'ok';
  }
  if (has('requeue forgets a finished job')) s.jobs = s.jobs.filter((j) => j !== job);
  return 'nojob';
}

export function close(
  has: Has,
  s: State,
  how: { mode: 'cancel' | 'expire' | 'give up'; seen: number; outcome: Entry['outcome'] },
): 'closed' | 'ended' | 'claimed' {
  const isHandedBack = s.fence?.state === 'released' && s.fence.epoch === how.seen;
  if (how.mode === 'give up' && !isHandedBack && has('giving up needs the hand-back that it saw'))
    return 'claimed';
  if (!s.fence) {
    s.truth.closed = true;
    if (!has('close leaves a closed fence where there is none')) return 'closed';
    s.stream = [];
    s.fence = { epoch: 0, state: 'open', claim: 0, shown: 0, job: 0, seq: 0, foul: false };
  }
  const { fence } = s;
  if (fence.state === 'ended' && has('close leaves an ended fence alone')) return 'ended';
  if (fence.state === 'closed') return 'closed';
  if (how.mode === 'expire' && fence.claim !== 0 && has('expire spares what is claimed')) return 'claimed';
  if (how.mode !== 'cancel' && fence.claim !== 0 && fence.state === 'open') {
    breaks(s, 'a claimed task was ended from outside');
  }
  append(s, fence, { kind: 'closed', claim: 0, n: 0, outcome: how.outcome });
  fence.state = 'closed';
  s.indexed = false;
  s.truth.closed = true;
  return 'closed';
}

/** BullMQ's add: an id that it knows already changes nothing. */
export function add(s: State, id: number): void {
  if (!s.jobs.some((job) => job.id === id)) s.jobs = [...s.jobs, { id, at: 'wait', by: 0 }];
}

/** BullMQ's moveToCompleted: refused to whoever has not its lock. */
export function finishJob(s: State, run: { id: number; job: number }): void {
  const job = s.jobs.find((j) => j.id === run.job);
  if (job?.at === 'active' && job.by === run.id) Object.assign(job, { at: 'kept', by: 0 });
}
