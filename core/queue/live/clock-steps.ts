import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';

/** More than a slow answer or a clock that is being slewed explains. */
const STEP_MS = 500;
/** A reading that took longer says too little. */
const SLOW_MS = 1_000;
/** By then whoever lives has said so anew, in the new time: beats and announcements come each second or two, waits in 3 s. */
const BLIND_MS = 10_000;
/** Another machine's clock (a replica, a node of a Cluster) is known for so long after it was read. */
const KNOWN_MS = 10_000;
/** A clock that goes back to what it was before a step has stepped again; several that are read in turn look the same, and no longer than this. */
const IN_TURN_MS = 3 * BLIND_MS;
const MOST_KNOWN = 64;

/** What Redis's clock was ahead of our elapsed time, at least and at most, when it was read last. */
interface Offset {
  least: number;
  most: number;
  readAt: number;
}

/**
 * Redis's clock may be set: ages are judged by it, so for ten seconds after a step nobody is judged. A step is what its time
 * has done beside our own elapsed time, which nobody sets; a machine that slept looks the same, and is treated the same.
 */
export class ClockSteps {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  #offsets: Offset[] = [];
  #until = -Infinity;
  /** When a clock was read that was not known. */
  #steppedAt = -Infinity;

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Call it before TIME is sent. @returns what to tell its answer, in milliseconds since 1970. */
  read(): (redisMs: number) => void {
    const askedAt = this.#clock.elapsed();
    return (redisMs) => this.#heard(redisMs, askedAt);
  }

  /** Whether ages by Redis's clock say nothing now. */
  isBlind(): boolean {
    return this.#clock.elapsed() < this.#until;
  }

  /** Is told at each step; must not throw. */
  onStep(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #heard(redisMs: number, askedAt: number): void {
    const now = this.#clock.elapsed();
    if (now - askedAt > SLOW_MS) return;
    const seen: Offset = { least: redisMs - now, most: redisMs - askedAt, readAt: now };
    const isFirst = this.#offsets.length === 0;
    const others = this.#offsets.filter((offset) => !isSame(offset, seen) && now - offset.readAt < KNOWN_MS);
    const isKnown = this.#offsets.some((offset) => isSame(offset, seen));
    const before = this.#offsets.at(-1);
    this.#offsets = [...others, seen].slice(-MOST_KNOWN);
    if (isFirst || !before || isSame(before, seen)) return;
    if (!isKnown) this.#steppedAt = now;
    const until = Math.min(now + BLIND_MS, this.#steppedAt + IN_TURN_MS);
    if (until <= now) return; // clocks of several machines
    this.#until = until;
    const byMs = Math.round(seen.most - before.most);
    this.#log.warn({ byMs, waitMs: BLIND_MS }, "Redis's clock was set; nobody is judged by it for a moment");
    for (const listener of this.#listeners) listener();
  }
}

const isSame = (a: Offset, b: Offset): boolean => a.least <= b.most + STEP_MS && b.least <= a.most + STEP_MS;
