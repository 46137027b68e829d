import { closeRow, settle } from './postgres.ts';
import { close, show, type Has } from './redis.ts';
import { breaks, isTerminal, type Caller, type Entry, type State, type Action } from './state.ts';

/** edge/inference/answer/answer.ts over a follower: what is read may be dealt with later, when it is old. */
export function callerActions(has: Has, s: State): Action[] {
  return s.callers.flatMap((c, at): Action[] => {
    const act = (what: string, step: (t: State, caller: Caller) => void): Action[] => [
      { what: `caller ${at + 1}: ${what}`, do: (t) => onCaller(t, at, step) },
    ];
    if (c.owes) return act('its end is settled', (t, caller) => settleOwed(has, t, caller));
    if (c.shown !== '') return [];
    if (c.entry) return act(`its edge deals with ${nameOf(c.entry)}`, (t, caller) => deal(has, t, caller));
    if (nextEntry(has, s, c))
      return act('its edge hears of the next entry', (t, caller) => hear(has, t, caller));
    const looks = hasVanished(s, c)
      ? act('its edge finds the stream gone', (t, caller) => endLost(has, t, caller))
      : [];
    return mayAsk(has, s, c) ? [...looks, ...act('its edge asks the row', askRow)] : looks;
  });
}

const nameOf = ({ kind, epoch, claim }: Entry): string =>
  kind === 'closed' ? 'the close' : `an ${kind} of claim ${claim} (epoch ${epoch})`;

function onCaller(s: State, at: number, step: (s: State, caller: Caller) => void): void {
  const caller = s.callers[at];
  if (caller) step(s, caller);
}

/** Another attempt than the one that was read is read from its beginning; an end may have come where events were. */
export function nextEntry(has: Has, s: State, c: Caller): Entry | undefined {
  const tells = has('an answer shows one claim');
  const isOther = (e: Entry): boolean =>
    tells && c.of !== 0 && e.claim !== 0 && e.claim !== c.of && e.epoch <= c.epoch;
  const isPassedEnd = (e: Entry): boolean => e.kind === 'end' && e.claim === c.of && e.seq <= c.seq;
  return s.stream.find(
    (e) => e.epoch > c.epoch || (e.epoch === c.epoch && e.seq > c.seq) || isOther(e) || isPassedEnd(e),
  );
}

export function hear(has: Has, s: State, c: Caller): void {
  const entry = nextEntry(has, s, c);
  if (entry)
    Object.assign(c, {
      entry,
      epoch: entry.epoch,
      seq: entry.seq,
      of: entry.claim === 0 ? c.of : entry.claim,
    });
}

/** Whoever hears nothing asks the row: Redis may have been lost after the task had ended. */
export function mayAsk(has: Has, s: State, c: Caller): boolean {
  return has('an edge that hears nothing asks the row') && isTerminal(s.row) && c.shown === '' && !c.entry;
}

export function askRow(s: State, c: Caller): void {
  const { status, claim } = s.row;
  if (status === 'completed') c.shown = c.got === 0 ? 'completed' : 'gone';
  else c.shown = status === 'cancelled' ? 'cancelled' : 'error';
  c.toldClaim = claim;
}

const hasVanished = (s: State, c: Caller): boolean => s.stream.length === 0 && c.got > 0;

/** edge/inference/follow/lost.ts: what was shown is gone, and nobody completes it behind its caller's back. */
function endLost(has: Has, s: State, c: Caller): void {
  if (has('who tells of a lost answer ends its row')) {
    close(has, s, { mode: 'cancel', seen: 0, outcome: 'error' });
    closeRow(has, s, 'error');
  }
  const { status } = s.row;
  if (status === 'completed' && has('a lost answer is told by its row')) c.shown = 'gone';
  else c.shown = status === 'cancelled' ? 'cancelled' : 'error';
}

export function deal(has: Has, s: State, c: Caller): void {
  const entry = c.entry;
  c.entry = null;
  switch (entry?.kind) {
    case undefined:
      return;
    case 'event':
      return dealEvent(has, s, { c, entry });
    case 'closed':
      if (!has('a close is told by the row')) c.shown = entry.outcome === 'cancelled' ? 'cancelled' : 'error';
      return;
    case 'end':
      return dealEnd(has, s, { c, entry });
  }
}

interface Dealing {
  c: Caller;
  entry: Entry;
  isPinned?: boolean;
}

/** Of this run's first event: it would be shown as soon as it is told. */
export const hearsFirst = (c: Caller): boolean => c.shown === '' && !c.owes && !c.entry && c.shows === 0;

/** It came with its pin, and is dealt with at once; what lies for longer is asked about, as any other. */
export function hearPinned(has: Has, s: State, { c, id }: { c: Caller; id: number }): void {
  hear(has, s, c);
  const { entry } = c;
  if (entry?.kind !== 'event' || entry.claim !== id) return;
  c.entry = null;
  dealEvent(has, s, { c, entry, isPinned: true });
}

function dealEvent(has: Has, s: State, { c, entry, isPinned = false }: Dealing): void {
  const pins = has('show pins a claim before its first byte') && !isPinned;
  if (c.shows === 0 && (!pins || show(has, s, entry.epoch))) c.shows = entry.epoch;
  if (c.shows === 0) return;
  if (isOtherAttempt(has, c, entry)) return endLost(has, s, c);
  if (c.got > 0 && c.claim !== entry.claim) breaks(s, 'I7: two claims in one answer');
  else if (entry.n !== c.got + 1) breaks(s, 'I7: an event is missing or comes twice');
  if (s.truth.shown !== 0 && s.truth.shown !== entry.claim) breaks(s, 'I7: two claims of a task were shown');
  s.truth.shown = entry.claim;
  Object.assign(c, { claim: entry.claim, got: entry.n });
}

function isOtherAttempt(has: Has, c: Caller, entry: Entry): boolean {
  if (c.shows === 0) return false;
  if (c.shows !== entry.epoch && has('an answer shows one epoch')) return true;
  return c.claim !== 0 && c.claim !== entry.claim && has('an answer shows one claim');
}

function dealEnd(has: Has, s: State, { c, entry }: Dealing): void {
  if (isOtherAttempt(has, c, entry)) return endLost(has, s, c);
  if (!has('the row is settled before the last frame')) {
    Object.assign(c, { shown: entry.outcome, toldClaim: entry.claim, owes: true, entry });
    return;
  }
  settle(has, s, entry);
  const { status, claim } = s.row;
  const isOther = claim !== entry.claim && has('a success is told by the claim that was settled');
  if (!has('the last frame says what the row says')) c.shown = entry.outcome;
  else if (status === 'completed') c.shown = 'completed';
  else c.shown = status === 'cancelled' ? 'cancelled' : 'error';
  // A row holds a whole answer, of a stream only what it cost.
  c.toldClaim = isOther ? claim : entry.claim;
  if (c.shown === 'completed' && (c.got === 0 || isOther) && entry.seq > 1) c.shown = 'gone';
  if (c.shown !== 'completed') return;
  if (c.got > 0 && c.claim !== entry.claim) breaks(s, 'I7: an answer ended by another claim');
  else if (c.got !== entry.n) breaks(s, 'I7: an event is missing or comes twice');
}

export function settleOwed(has: Has, s: State, c: Caller): void {
  if (c.entry) settle(has, s, c.entry);
  Object.assign(c, { entry: null, owes: false });
}

/** What every caller was told must be what the row says. */
export function checkTold(s: State): void {
  for (const c of s.callers) {
    if (c.owes) continue;
    if (c.shown === 'completed' && (s.row.status !== 'completed' || s.row.claim !== c.toldClaim)) {
      breaks(s, 'I2: a caller was told another end than the row holds');
    }
    if (c.shown === 'error' && s.row.status === 'completed')
      breaks(s, 'I2: a caller was told of a failure, and the task has completed');
    if (c.shown === 'cancelled' && s.row.status === 'completed') breaks(s, 'I9: cancelled and completed');
  }
}
