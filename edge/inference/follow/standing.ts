import { messageOf } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { Place } from '../../../core/queue/task/place.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';

/** How often a caller who waits may hear of its place. */
const LOOK_MS = 2_000;

/** Where a waiting task stands: what its caller is told first after 2 s, and again whenever it has changed. */
export class Standing {
  readonly #deps: EdgeDeps;
  readonly #row: TaskRow;
  /** How long a sleeping member has been waking for it; null: none is. */
  readonly #wakingMs: () => number | null | Promise<number | null>;
  #nextAt: number;
  #shown: Place | null = null;

  constructor(deps: EdgeDeps, row: TaskRow, wakingMs: () => number | null | Promise<number | null>) {
    this.#deps = deps;
    this.#row = row;
    this.#wakingMs = wakingMs;
    // Clients of `/v1` may need a real status more than news; and an answer in one piece has no room for news.
    const tells = row.source !== 'v1' && row.streaming;
    this.#nextAt = tells ? deps.clock.elapsed() + LOOK_MS : Infinity;
  }

  /** When to look next, by the clock's `elapsed()`. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** @returns the place if there is something new to tell: a number, seconds, or that a member has it after all. */
  async look(): Promise<Place | null> {
    this.#nextAt = this.#deps.clock.elapsed() + LOOK_MS;
    const before = this.#shown;
    const place = await this.now();
    const moved = place.position !== null && place.position !== before?.position;
    const begun = place.state === 'running' && before !== null && before.state !== 'running';
    if (moved || begun || place.state === 'waking') return place;
    this.#shown = before;
    return null;
  }

  /** The place for a chunk that is sent in any case. Without Redis: queued, nobody knows where. */
  async now(): Promise<Place> {
    try {
      const place = await this.#deps.queue.places.of({ ...refOf(this.#row), pin: this.#row.pin });
      const ms = place.state === 'queued' ? await this.#wakingMs() : null;
      this.#shown =
        ms === null ? place : { state: 'waking', position: null, seconds: Math.round(ms / 1_000) };
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'the place of a task could not be asked');
      this.#shown = { state: 'queued', position: null };
    }
    return this.#shown;
  }
}
