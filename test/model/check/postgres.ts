import type { Has } from './redis.ts';
import { breaks, isTerminal, type Row, type State } from './state.ts';

/** The conditional updates of core/registry/tasks/task-ends.ts. */
function move(s: State, to: Pick<Row, 'status' | 'claim'>): void {
  if (isTerminal(s.row)) breaks(s, 'I2: a task that had ended changed');
  Object.assign(s.row, to);
}

export function insert(s: State): void {
  s.row = { status: 'open', epoch: 1, claim: 0 };
}

export function settle(has: Has, s: State, end: { claim: number; outcome: Row['status'] | '' }): void {
  if (isTerminal(s.row) && has('settle changes no ended row')) return;
  move(s, { status: end.outcome === 'completed' ? 'completed' : 'error', claim: end.claim });
}

export function closeRow(has: Has, s: State, outcome: Row['status'] | ''): void {
  if (isTerminal(s.row) && has('cancel and expire change no ended row')) return;
  move(s, { status: outcome === 'cancelled' ? 'cancelled' : 'error', claim: 0 });
}

/** @returns the new epoch; 0 when the row has ended, or is not where it was seen. */
export function nextEpoch(has: Has, s: State, { seen, crash }: { seen: number; crash: boolean }): number {
  if (isTerminal(s.row)) return 0;
  if (s.row.epoch !== seen && has('an epoch is allocated from the one seen')) return 0;
  s.row.epoch += 1;
  if (crash) s.crashes += 1;
  if (s.crashes > s.truth.deaths) breaks(s, 'one death counted twice');
  return s.row.epoch;
}
