import { anySignal } from '../../core/runtime/any-signal.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';

export interface RestDeps {
  llm: string;
  /** Does the backend answer? Bounded by the signal; where it throws, it does not. */
  isAvailable: (signal: AbortSignal) => Promise<boolean>;
  bus: Bus;
  clock: Clock;
}

interface RestOptions extends RestDeps {
  /** Is told when it begins or becomes longer, when the backend turns out to be down, and when it is over. */
  onChange: () => void;
}

/** The first rest, and the longest when failures follow each other although the backend answers. */
const FIRST_MS = 1_000;
const LONGEST_MS = 8_000;
/** A backend that asks for a longer rest is asked again after this. */
const LONGEST_ASKED_MS = 60_000;
const PROBE_WITHIN_MS = 5_000;
const PROBE_EVERY_MS = 1_000;
const PROBE_SELDOM_MS = 10_000;

/**
 * After its backend has failed a member rests for a second or more and until the backend answers again, so that a
 * broken member, which is always free, does not draw every task of its pool. Part of the member's gate (gate.ts).
 */
export class Rest {
  readonly #deps: RestOptions;
  readonly #ended = new AbortController();
  /** Aborts while its backend is waited for: it has been seen to answer. */
  #answered = new AbortController();
  #failures = 0;
  #down = false;
  #over = true;
  /** How long the rest lasts at least, by `clock.elapsed()`. */
  #until = -Infinity;
  /** Until when the backend has asked to be left alone, by `clock.elapsed()`. */
  #askedUntil = -Infinity;

  constructor(deps: RestOptions) {
    this.#deps = deps;
  }

  isOver(): boolean {
    return this.#over;
  }

  /** The rest is over, and still the backend did not answer: the member is of no use until it does. */
  isDown(): boolean {
    return this.#down;
  }

  /** Until when it rests, by `clock.elapsed()`; its backend is asked then, and may not answer. */
  get until(): number {
    return Math.max(this.#until, this.#askedUntil);
  }

  /** @param askedMs what the backend asked for (its Retry-After). */
  begin(code: string, askedMs = 0): void {
    if (this.#ended.signal.aborted) return;
    // Of several tasks that failed together each may have been told for how long.
    const until = this.#deps.clock.elapsed() + Math.min(askedMs, LONGEST_ASKED_MS);
    this.#askedUntil = Math.max(this.#askedUntil, until);
    if (!this.#over) return this.#deps.onChange();
    const ms = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures += 1;
    this.#deps.bus.emit('member.rests', { llm: this.#deps.llm, code });
    this.#over = false;
    this.#until = this.#deps.clock.elapsed() + ms;
    void this.#rest();
    this.#deps.onChange();
  }

  /** The backend has answered a task: the next rest is a short one. */
  worked(): void {
    this.#failures = 0;
  }

  /** Its backend was seen to answer: a rest that waits for that is over, and one that has just begun goes on. */
  answered(): void {
    this.#answered.abort();
  }

  end(): void {
    this.#ended.abort();
  }

  async #rest(): Promise<void> {
    const { signal } = this.#ended;
    const left = (): number => this.until - this.#deps.clock.elapsed();
    while (left() > 0 && !signal.aborted) await pause(left(), signal);
    this.#answered = new AbortController();
    const answered = this.#answered.signal;
    const either = anySignal([signal, answered]);
    for (let everyMs = PROBE_EVERY_MS; !either.aborted; everyMs = Math.min(everyMs * 2, PROBE_SELDOM_MS)) {
      const within = anySignal([signal, AbortSignal.timeout(PROBE_WITHIN_MS)]);
      if ((await this.#deps.isAvailable(within).catch(() => false)) || either.aborted) break;
      this.#down = true;
      this.#deps.onChange();
      await pause(everyMs, either);
    }
    this.#down = false;
    this.#over = true;
    this.#deps.onChange();
    if (!signal.aborted) this.#deps.bus.emit('member.serves', { llm: this.#deps.llm });
  }
}
