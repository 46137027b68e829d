import { stepFlow } from './actions.ts';
import { askRow, deal, hear, mayAsk, nextEntry, settleOwed } from './callers.ts';
import { flowsToBegin, verdict } from './flows.ts';
import { callStep } from './calls.ts';
import { claim, emit, type Has } from './redis.ts';
import { copy, faults, isTerminal, keyOf, type State } from './state.ts';
import { ends, giveUp, letGo, MEMBERS, take } from './workers.ts';

/**
 * Once faults stop, everybody goes on: what is under way ends, workers work, the leader's duties run again and
 * again. Then the task must end and every caller must be told.
 * @param good states that end well; what is met on the way is added.
 * @returns the promise that is broken; null when all ends well.
 */
export function afterFaults(
  has: Has,
  s: State,
  { call = false, good }: { call: boolean | undefined; good: Set<string> },
): string | null {
  const t = copy(s);
  for (const fault of faults) t.left[fault] = 0;
  t.blind = false;
  t.kept = null;
  const trail = new Set<string>();
  for (;;) {
    const key = keyOf(t);
    if (good.has(key) || isOver(t)) {
      for (const passed of trail) good.add(passed);
      return null;
    }
    if (trail.has(key) && s.revoked && !t.truth.putOut) return 'S4: it was never put out';
    if (trail.has(key)) return isTerminal(t.row) ? 'a caller waits for ever' : 'I5: the task never ends';
    trail.add(key);
    goOn(has, t, call);
  }
}

const isOver = (s: State): boolean =>
  isTerminal(s.row) && (!s.revoked || s.truth.putOut) && s.callers.every((c) => c.shown !== '' && !c.owes);

function goOn(has: Has, s: State, call: boolean): void {
  while (s.flows.length > 0) stepFlow(has, s, 0);
  for (const c of s.callers) {
    if (c.owes) settleOwed(has, s, c);
    while (c.shown === '' && (c.entry || nextEntry(has, s, c))) {
      if (!c.entry) hear(has, s, c);
      deal(has, s, c);
    }
    if (mayAsk(has, s, c)) askRow(s, c);
  }
  for (const { id } of [...s.runs]) work(has, s, { id, call });
  for (const job of s.jobs)
    if (job.at === 'wait' && s.runs.length < MEMBERS) take(s, { id: job.id, foul: false });
  for (const at of [0, 1, 2, 3, 4, 5]) {
    const f = flowsToBegin(has, s)[at];
    if (!f || (f.why === 'reap' && verdict(has, s) !== 'dead')) continue;
    s.flows.push(f);
    while (s.flows.length > 0) stepFlow(has, s, 0);
  }
}

/** A run makes progress while its claim is current; else its next beat tells it. */
function work(has: Has, s: State, { id, call }: { id: number; call: boolean }): void {
  const run = s.runs.find((r) => r.id === id);
  if (!run) return;
  const isCurrent = s.fence?.claim === id && s.fence.state === 'open';
  if (run.at === 'fetched') {
    if (s.distrusted) return;
    const epoch = claim(has, s, run);
    Object.assign(run, { at: epoch === null ? 'refused' : 'claimed', epoch: epoch ?? 0 });
  } else if (run.at === 'refused') letGo(s, run);
  else if (isCurrent && call) callStep(has, run, { giveUp, letGo })?.[1](s, run);
  else if (isCurrent) {
    if (run.sent === 0 && emit(has, s, { id, n: 1 })) run.sent = 1;
    else ends(has, s, run);
  } else if (has('beat checks the claim')) letGo(s, run);
}
