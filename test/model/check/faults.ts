import { putOut, stepOf } from './flows.ts';
import type { Has } from './redis.ts';
import { beats, MEMBERS, take } from './workers.ts';
import { copyOfRedis, type Action, type Fault, type State } from './state.ts';

/** What may go wrong, each as often as the world says. */
export function faultActions(has: Has, s: State): Action[] {
  const actions: Action[] = [];
  const may = (fault: Fault, what: string, act: (t: State) => void): void => {
    if (s.left[fault] === 0) return;
    actions.push({
      what: `${what} ✗`,
      do(t) {
        t.left[fault] -= 1;
        act(t);
      },
    });
  };
  if (s.row.status !== 'none') may('flush', 'Redis is lost', flush);
  if (s.left.loseTail > 0 && !s.kept && s.row.status !== 'none')
    actions.push({ what: 'this is what Redis will go back to', do: (t) => void (t.kept = copyOfRedis(t)) });
  if (s.kept) may('loseTail', 'Redis loses its last writes', (t) => loseTail(has, t));
  for (const { id } of s.runs) may('crashWorker', `the worker of run ${id} dies`, (t) => killRun(t, id));
  s.flows.forEach((f, at) => {
    const crash = f.by === 'S' ? 'crashLeader' : 'crashEdge';
    if (f.next === 'insert') return; // not accepted yet
    may(crash, `${f.by === 'S' ? 'a leader' : `edge ${f.by}`} dies in ${f.why}, before: ${f.next}`, (t) => {
      t.flows.splice(at, 1);
    });
  });
  s.flows.forEach((f, at) => {
    if (f.next !== 'enqueue') return;
    may('resend', `${f.why}: enqueue epoch ${f.newEpoch}, and it will be sent again`, (t) => {
      const again = t.flows[at];
      if (again) stepOf(has, t, again);
    });
  });
  s.callers.forEach((c, at) => {
    if (c.entry !== null || c.owes)
      may('crashEdge', `the edge of caller ${at + 1} dies`, (t) => void t.callers.splice(at, 1));
  });
  for (const job of s.jobs) {
    if (job.at !== 'active') continue;
    may('lapse', `job ${job.id} is given out again`, (t) => {
      for (const j of t.jobs) if (j.id === job.id) Object.assign(j, { at: 'wait', by: 0 });
    });
  }
  if (!s.revoked)
    for (const { id } of s.runs)
      may('revoke', `the session of run ${id} is put out`, (t) => revoke(has, t, id));
  const canTake = s.revoked && s.runs.every((run) => !run.foul) && s.runs.length < MEMBERS;
  for (const job of s.jobs)
    if (canTake && job.at === 'wait')
      may('comeBack', `who was put out takes job ${job.id}`, (t) => take(t, { id: job.id, foul: true }));
  for (const job of s.jobs)
    if (job.at === 'wait' && s.runs.length < MEMBERS)
      may('move', `another machine takes job ${job.id}`, (t) =>
        take(t, { id: job.id, foul: false, elsewhere: true }),
      );
  if (s.runs.some(beats)) may('blink', 'Redis is away for a while', (t) => void (t.blind = true));
  if (s.blind) actions.push({ what: 'beats arrive again', do: (t) => void (t.blind = false) });
  return actions;
}

/** Postgres says so from here on; who said it goes on to say it to Redis. */
function revoke(has: Has, s: State, id: number): void {
  s.revoked = true;
  for (const run of s.runs) if (run.id === id) run.foul = true;
  if (s.fence?.claim === id) s.fence.foul = true;
  s.flows.push(putOut(has, 'B'));
}

function flush(s: State): void {
  Object.assign(s, { fence: null, stream: [], indexed: false, jobs: [], marked: false });
  Object.assign(s.truth, { shown: 0, closed: false, lost: true, putOut: false });
}

/** A claim whose worker has lost it, or its end, looks like one of a dead worker. */
function loseTail(has: Has, s: State): void {
  Object.assign(s, s.kept, { kept: null, marked: false });
  Object.assign(s.truth, { shown: 0, closed: false, lost: true, putOut: false });
  s.distrusted = has('what waits is renewed when Redis went back');
  const { fence } = s;
  const runs = s.runs.some((run) => beats(run) && run.id === fence?.claim);
  if (fence?.claim && fence.state === 'open' && !runs) s.truth.deaths += 1;
}

function killRun(s: State, id: number): void {
  const { fence } = s;
  if (fence?.claim === id && fence.state === 'open') s.truth.deaths += 1;
  s.runs = s.runs.filter((run) => run.id !== id);
}
