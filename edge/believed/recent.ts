import type { Clock } from '../../core/runtime/clock.ts';

/** When a question was begun. */
export interface Begun {
  at: number;
  forgotten: number;
}

/**
 * Answers that are believed for a moment, by key. What is asked is remembered as it is asked, by when it was asked: all who
 * come meanwhile share one question, and no answer is older than it says. A question that fails, or whose answer is
 * undefined, is told to those who shared it; the next asks anew.
 */
export class Recent<T> {
  readonly #clock: Clock;
  readonly #keptMs: number;
  readonly #most: number;
  #forgotten = 0;
  readonly #entries = new Map<string, { at: number; answer: Promise<T> }>();

  /** @param options.keptMs 0: nothing is remembered. `most`: of entries; the oldest go. */
  constructor({ clock, keptMs, most }: { clock: Clock; keptMs: number; most: number }) {
    this.#clock = clock;
    this.#keptMs = keptMs;
    this.#most = most;
  }

  /** @param withinMs how old it may be, where that is less than answers are kept. */
  recall(key: string, withinMs = this.#keptMs): Promise<T> | undefined {
    const entry = this.#entries.get(key);
    const ageMs = entry && this.#clock.elapsed() - entry.at;
    return ageMs !== undefined && ageMs < this.#keptMs && ageMs < withinMs ? entry?.answer : undefined;
  }

  /** For a question that is remembered only after some of it is answered: it is as old as its beginning. */
  begin(): Begun {
    return { at: this.#clock.elapsed(), forgotten: this.#forgotten };
  }

  /**
   * @param asked a query of knex, too, which is asked again by each `then`: here it is asked once.
   * @param begun what was forgotten since is not remembered by it.
   * @returns the answer.
   */
  remember(key: string, asked: PromiseLike<T>, begun = this.begin()): Promise<T> {
    const answer = Promise.resolve(asked);
    if (begun.forgotten !== this.#forgotten) return answer;
    const now = begun.at;
    // The map is in the order of time.
    for (const [old, { at }] of this.#entries) {
      if (now - at < this.#keptMs && this.#entries.size < this.#most) break;
      this.#entries.delete(old);
    }
    const entry = { at: now, answer };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const drop = (): void => void (this.#entries.get(key) === entry && this.#entries.delete(key));
    answer.then((answered) => answered ?? drop(), drop);
    return answer;
  }

  forget(): void {
    this.#forgotten += 1;
    this.#entries.clear();
  }
}
