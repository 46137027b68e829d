import type { ClockSteps } from '../../queue/live/clock-steps.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';

/** How long nobody is judged after a sign of our own blindness, in milliseconds. */
export interface BlindTimes {
  /** After the first sign, and after each further one of the same incident. */
  firstMs: number;
  againMs: number;
  /** No longer than this at a stretch, however often the signs come again, and then not for a moment. */
  stretchMs: number;
  gapMs: number;
}

export interface BlindnessDeps {
  /** Calls its listener at each new connection of who judges. */
  onReady: (listener: () => void) => unknown;
  steps: Pick<ClockSteps, 'onStep'>;
  clock: Clock;
  log: Log;
}

/** Without a sign for so long the incident is over. */
const OVER_MS = 60_000;

/**
 * When what looks like death is more likely our own blindness: after this process's connection to Redis came (back), after
 * Redis's clock was set, and after whatever sign besides whoever judges has seen. The reaper and the relay judge by it.
 */
export class Blindness {
  readonly #deps: BlindnessDeps;
  readonly #times: BlindTimes;
  /** The stretch that runs, or that was the last. */
  #stretch = { began: -Infinity, until: -Infinity };
  #lastSign = -Infinity;

  constructor(deps: BlindnessDeps, times: BlindTimes) {
    this.#deps = deps;
    this.#times = times;
    deps.onReady(() => this.begin('the connection to Redis came back'));
    deps.steps.onStep(() => this.begin("Redis's clock was set"));
  }

  /** Until when nobody is judged, by the clock's `elapsed()`; that may be over. */
  get until(): number {
    return this.#stretch.until;
  }

  get isNow(): boolean {
    return this.#deps.clock.elapsed() < this.#stretch.until;
  }

  /** A sign of it: nobody is judged for a moment. */
  begin(why: string): void {
    const { clock, log } = this.#deps;
    const { firstMs, againMs, stretchMs, gapMs } = this.#times;
    const now = clock.elapsed();
    const ms = now >= this.#lastSign + OVER_MS ? firstMs : againMs;
    this.#lastSign = now;
    const { began, until } = this.#stretch;
    // One that comes right behind a stretch goes on with it: else each sign would begin another one.
    if (now < until + gapMs) {
      this.#stretch.until = Math.max(until, Math.min(now + ms, began + stretchMs));
      return;
    }
    this.#stretch = { began: now, until: now + ms };
    log.info({ why, ms }, 'no worker is taken for dead for a moment');
  }
}
