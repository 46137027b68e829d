import type { Clock } from '../../core/runtime/clock.ts';

const LOOK_MS = 1_000;

/**
 * A pause that ends when the clock here shows its time, though the machine sleeps over a part of it: a timer stands still then. Where
 * that clock is set back it ends when so much time has passed all the same.
 */
export class TimedPause {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #untilMs = 0;
  /** By the clock that nobody sets. */
  #atMost = 0;
  #look: NodeJS.Timeout | undefined;

  constructor({ clock, onOver }: { clock: Clock; onOver: () => void }) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** When it ends by itself; undefined: there is none that does. */
  get until(): string | undefined {
    return this.#look && new Date(this.#untilMs).toISOString();
  }

  begin(ms: number, everyMs = LOOK_MS): void {
    this.end();
    this.#untilMs = this.#clock.now() + ms;
    this.#atMost = this.#clock.elapsed() + ms;
    this.#look = setInterval(() => this.#ifOver(), everyMs);
  }

  /** Nothing is over by itself any more. */
  end(): void {
    clearInterval(this.#look);
    this.#look = undefined;
  }

  #ifOver(): void {
    if (this.#clock.now() < this.#untilMs && this.#clock.elapsed() < this.#atMost) return;
    this.end();
    this.#onOver();
  }
}
