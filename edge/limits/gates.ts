import { FairGate } from './fair-gate.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** What is done a few at a time, because each one takes much at once. */
export interface Gates {
  /** Bodies that are being inflated, in threads that others need too. */
  inflating: FairGate;
  /** Large bodies out of Postgres, while they are on their way to a reader or are looked at. */
  largeAnswers: FairGate;
  /** Sessions that register: each is a transaction over all of its llms. */
  registers: FairGate;
}

const WITHIN_MS = 30_000;
/** A reader may be slow, and that is no work of ours. */
const MOST_REST_MS = 300;

export function createGates(metrics: Pick<Metrics, 'refused'>): Gates {
  const inflating = {
    ofOne: 1,
    inAll: 2,
    withinMs: WITHIN_MS,
    cap: 'inflating',
    message: 'Compressed bodies of yours are being read already; send fewer at a time, or send them plain.',
  };
  const largeAnswers = {
    ofOne: 1,
    inAll: 4,
    withinMs: WITHIN_MS,
    // Each is some tens of milliseconds of the one thread that all have.
    restMs: (insideMs: number) => Math.min(MOST_REST_MS, 2 * insideMs),
    cap: 'large_answers',
    message:
      'A large task is on its way to you already, and they go one at a time; read its answer, then ask for this one.',
  };
  const registers = {
    ofOne: 2,
    inAll: 4,
    withinMs: WITHIN_MS,
    cap: 'registers',
    message: 'Sessions of yours are registering already, two at a time. Try again later.',
  };
  return {
    registers: new FairGate(registers, metrics),
    inflating: new FairGate(inflating, metrics),
    largeAnswers: new FairGate(largeAnswers, metrics),
  };
}
