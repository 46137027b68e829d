import { messageOf } from '../core/errors.ts';
import { anySignal } from '../core/runtime/any-signal.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';

const FIRST_MS = 250;
const SECOND_MS = 5_000;
const LONGEST_MS = 60_000;

/**
 * How long to wait before the next try: within 250 ms at first, then jittered from 5 s, doubling, to 60 s, for ever.
 * So that a thousand workers that lost one edge do not come back in the same moment.
 */
export class Backoff {
  readonly #clock: Clock;
  #tries = 0;
  #nudged = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for its time, or until `reset` or `stopping`. */
  async wait(stopping: AbortSignal): Promise<void> {
    const longest = Math.min(SECOND_MS * 2 ** Math.min(this.#tries - 1, 10), LONGEST_MS);
    const random = this.#clock.random();
    const ms = this.#tries === 0 ? FIRST_MS * random : longest * (0.5 + random / 2);
    this.#tries += 1;
    await pause(ms, anySignal([stopping, this.#nudged.signal]));
  }

  /** It worked, or things are different now: the next try is a first one, and one that is waited for begins now. */
  reset(): void {
    this.#tries = 0;
    this.#nudged.abort();
    this.#nudged = new AbortController();
  }
}

/**
 * Tries until it works or `stopping` aborts: at once, within 250 ms, then with backoff, for ever. One line per change
 * of the reason, not per attempt. @returns whether it worked.
 */
export async function persist(
  attempt: () => Promise<void>,
  {
    stopping,
    clock,
    log,
    backoff = new Backoff(clock),
  }: { stopping: AbortSignal; clock: Clock; log: Pick<Log, 'warn'>; backoff?: Backoff },
): Promise<boolean> {
  let lastReason = '';
  while (!stopping.aborted) {
    try {
      await attempt();
      backoff.reset();
      return true;
    } catch (thrown) {
      const why = messageOf(thrown);
      if (why !== lastReason) log.warn({ why }, 'publishing failed; trying again');
      lastReason = why;
    }
    await backoff.wait(stopping);
  }
  return false;
}
