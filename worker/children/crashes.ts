import type { Clock } from '../../core/runtime/clock.ts';

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;
/** So long at work, and what failed before is forgotten. */
const STEADY_MS = 60_000;
/** So many failures within that time are a loop. */
const MOST = 5;
const WITHIN_MS = 10 * 60_000;

/** How patient to be with a child that will not start, or ends by itself: from a second to a minute, until it is a loop. */
export class Crashes {
  readonly #clock: Clock;
  #failures: number[] = [];
  #inARow = 0;
  #beganAt: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It is at work from now on. */
  began(): void {
    this.#beganAt = this.#clock.elapsed();
  }

  /** @returns how long to leave it alone; `loops`: that is no use any more. */
  failed(): { waitMs: number; loops: boolean } {
    const now = this.#clock.elapsed();
    if (this.#beganAt !== null && now - this.#beganAt > STEADY_MS) this.#inARow = 0;
    this.#beganAt = null;
    this.#failures = [...this.#failures.filter((at) => now - at < WITHIN_MS), now].slice(-MOST);
    const backoff = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#inARow, 10));
    this.#inARow += 1;
    return { waitMs: backoff * (0.5 + this.#clock.random() / 2), loops: this.#failures.length >= MOST };
  }
}
