import { callerActions } from './callers.ts';
import { faultActions } from './faults.ts';
import { flowsToBegin, stepOf, verdict } from './flows.ts';
import type { Has } from './redis.ts';
import { copy, flow, type Action, type Flow, type State, type World } from './state.ts';
import { workerActions } from './workers.ts';

const who = { A: 'edge A', B: 'edge B', S: 'a leader' } as const;

const describe = (f: Flow, at = f.next): string => {
  const detail = {
    insert: '',
    enqueue: ` epoch ${f.newEpoch}`,
    add: ` job ${f.newEpoch || f.job}`,
    requeue: ` as epoch ${f.newEpoch}`,
  };
  return `${who[f.by]}, ${f.why}: ${at}${at in detail ? detail[at as keyof typeof detail] : ''}`;
};

/** Everything that can happen in a state. */
export function actionsOf(has: Has, s: State, world: World): Action[] {
  return [
    ...s.flows.map((f, at) => ({ what: describe(f), do: (t: State) => stepFlow(has, t, at) })),
    ...dutyActions(has, s, world),
    ...workerActions(has, s, world),
    ...callerActions(has, s),
    ...faultActions(has, s),
  ];
}

export function stepFlow(has: Has, s: State, at: number): void {
  const f = s.flows[at];
  if (!f) return;
  const next = stepOf(has, s, f);
  if (next !== null) f.next = next;
  else {
    s.flows.splice(at, 1);
    if (f.why === 'renew') s.distrusted = false;
  }
}

function dutyActions(has: Has, s: State, world: World): Action[] {
  const leading = s.flows.filter((f) => f.by === 'S').length;
  const actions: Action[] = [];
  if (leading < world.leaders) {
    for (const f of flowsToBegin(has, s)) {
      if (world.duties && !world.duties.includes(f.why)) continue;
      const judged = f.why === 'reap' ? verdict(has, copy(s)) : 'fine';
      if (judged === null) continue;
      const seen =
        f.why === 'reap'
          ? ` finds claim ${f.claim} ${judged}`
          : ` sees the ${f.why === 'reconcile' || f.why === 'renew' ? 'row' : 'fence'}`;
      actions.push({ what: `a leader, ${f.why}:${seen}`, do: (t) => begin(has, t, f) });
    }
    if (s.left.expire > 0 && s.row.status === 'open') {
      actions.push({ what: 'a leader finds the task overdue', do: (t) => beginClose(has, t, 'expire') });
    }
  }
  const { fence } = s;
  if (s.left.giveUp > 0 && fence?.state === 'released' && leading < world.leaders) {
    actions.push({ what: 'a leader finds nobody left to try', do: (t) => beginClose(has, t, 'give up') });
  }
  if (s.left.cancel > 0 && s.row.status === 'open') {
    actions.push({ what: 'a caller cancels at edge B', do: (t) => beginClose(has, t, 'cancel') });
  }
  return actions;
}

function begin(has: Has, s: State, f: Flow): void {
  if (f.why === 'reap' && verdict(has, s) === 'false death') {
    s.left.falseDeath -= 1;
    s.truth.deaths += 1;
  }
  s.flows.push({ ...f });
}

function beginClose(has: Has, s: State, why: 'cancel' | 'expire' | 'give up'): void {
  s.left[why === 'give up' ? 'giveUp' : why] -= 1;
  const first = has('cancel closes the fence before the row') ? 'close fence' : 'close row';
  const outcome = why === 'cancel' ? 'cancelled' : 'error';
  s.flows.push({ ...flow(why === 'cancel' ? 'B' : 'S', why, first), epoch: s.fence?.epoch ?? 0, outcome });
}
