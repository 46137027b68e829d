import { callStep } from './calls.ts';
import { hearPinned, hearsFirst } from './callers.ts';
import { claim, emit, end, finishJob, handBack, type Has } from './redis.ts';
import type { Action, Run, State, World } from './state.ts';

/** Members of the pool: each may run the task once, also while an older run of it goes on as a zombie. */
export const MEMBERS = 2;

/** One that was claimed, and of which its worker says that it goes on. */
export const beats = ({ at }: Run): boolean => at !== 'fetched' && at !== 'refused';

/** worker/work/execute.ts: take a job, claim, emit, end. */
export function workerActions(has: Has, s: State, world: World): Action[] {
  const actions: Action[] = [];
  for (const job of s.jobs) {
    if (job.at === 'wait' && s.runs.length < MEMBERS) {
      actions.push({
        what: `a worker takes job ${job.id} (run ${s.lastRun + 1})`,
        do: (t) => take(t, { id: job.id, foul: false }),
      });
    }
  }
  for (const run of s.runs) {
    const { id, at, sent } = run;
    const push = (what: string, act: (t: State, run: Run) => void): void => {
      actions.push({ what: `run ${id} ${what}`, do: (t) => onRun(t, id, act) });
    };
    if (at === 'fetched' && !s.distrusted) push('claims', (t, own) => claims(has, t, own));
    if (at === 'refused') push('lets go of its job', letGo);
    if (world.call && beats(run)) {
      const step = callStep(has, run, { giveUp, letGo });
      if (step) push(...step);
      if (s.left.handBack > 0) push('hands back', (t, own) => handsBack(has, t, own));
      continue;
    }
    if (at !== 'claimed') continue;
    const waiting = sent === 0 && world.events > 0 ? s.callers.findIndex(hearsFirst) : -1;
    if (waiting >= 0)
      push(`emits its first event, and caller ${waiting + 1} sees it at once`, (t, own) =>
        emitsSeen(has, t, { run: own, at: waiting }),
      );
    if (sent < world.events) push(`emits event ${sent + 1}`, (t, own) => emits(has, t, own));
    else push('ends', (t, own) => ends(has, t, own));
    if (s.left.resend > 0 && sent > 0)
      push(`emits event ${sent} once more`, (t, own) => emitsAgain(has, t, own));
    if (s.left.resend > 0 && sent === world.events)
      push('ends, sent twice', (t, own) => endsTwice(has, t, own));
    if (s.left.handBack > 0) push('hands back', (t, own) => handsBack(has, t, own));
  }
  return actions;
}

function onRun(s: State, id: number, act: (s: State, run: Run) => void): void {
  const run = s.runs.find((r) => r.id === id);
  if (run) act(s, run);
}

export function take(
  s: State,
  { id, foul, elsewhere = false }: { id: number; foul: boolean; elsewhere?: boolean },
): void {
  const job = s.jobs.find((j) => j.id === id);
  s.lastRun += 1;
  if (job) Object.assign(job, { at: 'active', by: s.lastRun });
  s.runs.push({ id: s.lastRun, job: id, epoch: 0, at: 'fetched', sent: 0, foul, elsewhere });
}

function claims(has: Has, s: State, run: Run): void {
  const epoch = claim(has, s, run);
  run.at = epoch === null ? 'refused' : 'claimed';
  run.epoch = epoch ?? 0;
}

/** Its job is finished, unless it is somebody else's by now; then it is over. */
export function letGo(s: State, run: Run): void {
  finishJob(s, run);
  s.runs = s.runs.filter((r) => r !== run);
}

function emits(has: Has, s: State, run: Run): void {
  if (emit(has, s, { id: run.id, n: run.sent + 1 })) run.sent += 1;
  else giveUp(s, run);
}

/** The first who waits: it is the call that made the task, whose edge the fence names. */
function emitsSeen(has: Has, s: State, { run, at }: { run: Run; at: number }): void {
  if (!emit(has, s, { id: run.id, n: 1, isHeard: true })) return giveUp(s, run);
  run.sent += 1;
  const caller = s.callers[at];
  if (caller) hearPinned(has, s, { c: caller, id: run.id });
}

/** A claim that Redis has lost events of is left to the reaper, as one of a dead worker is. */
export function giveUp(s: State, run: Run): void {
  if (s.fence?.claim === run.id && s.fence.state === 'open') s.truth.deaths += 1;
  letGo(s, run);
}

function emitsAgain(has: Has, s: State, run: Run): void {
  s.left.resend -= 1;
  emit(has, s, { id: run.id, n: run.sent });
}

export function ends(has: Has, s: State, run: Run): void {
  if (end(has, s, { id: run.id, outcome: 'completed', seq: run.sent })) letGo(s, run);
  else giveUp(s, run);
}

function endsTwice(has: Has, s: State, run: Run): void {
  s.left.resend -= 1;
  end(has, s, { id: run.id, outcome: 'completed', seq: run.sent });
  ends(has, s, run);
}

/** A worker that leaves, or whose backend failed: its job stays for the requeue to move. */
function handsBack(has: Has, s: State, run: Run): void {
  s.left.handBack -= 1;
  const answer = handBack(has, s, run.id);
  if (answer === 'ok') s.runs = s.runs.filter((r) => r !== run);
  else {
    if (answer === 'shown') end(has, s, { id: run.id, outcome: 'error' });
    letGo(s, run);
  }
}
