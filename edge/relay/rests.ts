import { LONGEST_REST_MS, MOST_PUBLISHED } from '../../core/member/protocol.ts';
import type { Clock } from '../../core/runtime/clock.ts';

const FIRST_REST_MS = 60_000;
/** Whoever has said nothing wrong for so long begins anew. */
const FORGOTTEN_MS = 2 * LONGEST_REST_MS;
const MOST_RESTS = 10_000;

/**
 * Members that take tasks and say nothing of them are given none for a while: a minute, and twice as long each time. By
 * llm, whatever session and stream it has by then.
 */
export class Rests {
  readonly #clock: Clock;
  readonly #rests = new Map<string, { until: number; ms: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns milliseconds of the rest that begins now. */
  begin(llmId: string): number {
    const now = this.#clock.elapsed();
    const before = this.#rests.get(llmId);
    if (before && before.until > now) return before.ms; // several tasks of one silence
    const again = before !== undefined && now - before.until < FORGOTTEN_MS;
    const ms = again ? Math.min(before.ms * 2, LONGEST_REST_MS) : FIRST_REST_MS;
    if (this.#rests.size >= MOST_RESTS) this.#rests.clear();
    this.#rests.set(llmId, { until: now + ms, ms });
    return ms;
  }

  isResting(llmId: string): boolean {
    return this.leftMs(llmId) > 0;
  }

  /** How much longer it rests; 0: it does not. */
  leftMs(llmId: string): number {
    return Math.max(0, (this.#rests.get(llmId)?.until ?? 0) - this.#clock.elapsed());
  }
}

/** How long members of one session rest, as their worker says: by the edge's clock from the moment it was heard. */
export class ToldRests {
  readonly #now: () => number;
  #until: ReadonlyMap<string, number> = new Map();

  /** @param now milliseconds, by a clock that nobody sets. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param rests milliseconds by the llm's name; who is not named does not rest any more. */
  hear(rests: Readonly<Record<string, number>> = {}): void {
    const now = this.#now();
    this.#until = new Map(
      Object.entries(rests)
        .slice(0, MOST_PUBLISHED)
        .map(([name, ms]) => [name, now + ms]),
    );
  }

  /** 0: it does not. */
  leftMs(name: string): number {
    return Math.max(0, (this.#until.get(name) ?? 0) - this.#now());
  }
}
