import type { Has } from './redis.ts';
import { breaks, isTerminal, type Row, type State } from './state.ts';

/** The conditional updates of core/registry/tasks/task-ends.ts. @param of the claim of whose answer the thread keeps what was said. */
function move(has: Has, s: State, { of, ...to }: Pick<Row, 'status' | 'claim'> & { of: number }): void {
  if (isTerminal(s.row)) breaks(s, 'I2: a task that had ended changed');
  Object.assign(s.row, to);
  if (!has('what ends a row writes its message')) return;
  const events = s.stream.filter((entry) => entry.kind === 'event' && entry.claim === of).length;
  s.message = { status: to.status, claim: events === 0 ? 0 : of, events };
}

/** The message ends with the row and as it did, and holds all that anybody was shown, unless Redis was lost with it. */
export function checkMessage(s: State): void {
  const { row, message, truth } = s;
  if (message.status !== row.status)
    breaks(s, 'a message has ended and its row has not, or the other way round');
  if (!isTerminal(row) || truth.lost) return;
  for (const c of s.callers)
    if (c.got > 0 && (message.claim !== c.claim || message.events < c.got))
      breaks(s, 'a message does not hold what a caller was shown');
}

export function insert(s: State): void {
  s.row = { status: 'open', epoch: 1, claim: 0 };
  s.message.status = 'open';
}

export function settle(has: Has, s: State, end: { claim: number; outcome: Row['status'] | '' }): void {
  if (isTerminal(s.row) && has('settle changes no ended row')) return;
  move(has, s, {
    status: end.outcome === 'completed' ? 'completed' : 'error',
    claim: end.claim,
    of: end.claim,
  });
}

/** core/flow/end/answer.ts: of what is cut short the thread keeps what was shown, as the close of the fence has seen it. */
export function closeRow(has: Has, s: State, outcome: Row['status'] | ''): void {
  if (isTerminal(s.row) && has('cancel and expire change no ended row')) return;
  const shown = has('what is cut short keeps what was shown') ? (s.fence?.shown ?? 0) : 0;
  move(has, s, { status: outcome === 'cancelled' ? 'cancelled' : 'error', claim: 0, of: shown });
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
