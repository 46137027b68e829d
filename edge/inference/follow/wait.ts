import { McpctlError } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { Attempt } from '../../../core/queue/task/attempt.ts';
import type { Shown } from '../../../core/queue/task/fence.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import type { Place } from '../../../core/queue/task/place.ts';
import type { Entry, Events } from '../../../core/queue/task/stream.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { RowEnd, type RowSays } from './row-end.ts';
import { Standing } from './standing.ts';

/** `quiet`: time to send something, and where the task stands meanwhile. `gap` and `vanished`: as the stream says it. */
export type Arrived =
  | Entry
  | RowSays
  | { kind: 'gap' }
  | { kind: 'vanished' }
  | { kind: 'quiet'; place: Place }
  | { kind: 'left' };

/** When something is to be sent though nothing came. */
export interface Quiet {
  /** After so much silence. Asked anew each time: before the status is committed more patience may be better. */
  afterMs: () => number;
  /** The first time, where that is to be sooner. */
  firstMs?: number;
}

/** What a wait does for a task beside waiting for it. All of it is for one that no member has. */
export interface Duties {
  /** When something is to be done next, by the clock's `elapsed()`. */
  readonly nextAt: number;
  /**
   * Does what is due. @returns how the task has ended meanwhile; `taken`: a member has it after all; null: the wait
   * goes on. @throws McpctlError why it was given up.
   */
  act(): Promise<RowSays | { kind: 'taken' } | null>;
  /** A worker let go of it. Never rejects. */
  takeBack(): Promise<void>;
  /** How long a sleeping member has been waking for it; null: none is. */
  wakingMs(): number | null | Promise<number | null>;
}

export interface Wait {
  row: TaskRow;
  follower: Follower;
  /** Aborts when the caller has gone. */
  gone: AbortSignal;
  quiet: Quiet;
  /** What this wait owes the task: another for the call that made it than for who looks on. */
  duties: Duties;
}

/** A half-open connection to Redis is noticed and made anew within about four seconds. */
const PATIENCE_MS = 8_000;
const AGAIN_MS = 250;
/** What an event says of its pin is believed for as long as the answer of a question would be. */
const PIN_HOLDS_MS = 1_000;

/** What happens to a task, in order, for one caller who waits for it: every wait for an answer is this loop. */
export class TaskWait {
  readonly #deps: EdgeDeps;
  readonly #wait: Wait;
  readonly #standing: Standing;
  readonly #rowEnd: RowEnd;
  #quietFrom: number;
  /** Nothing was given out yet. */
  #first = true;
  /** No claim is known that its answer may come of. */
  #waiting = true;
  #over = false;

  constructor(deps: EdgeDeps, wait: Wait) {
    this.#deps = deps;
    this.#wait = wait;
    this.#quietFrom = deps.clock.elapsed();
    this.#standing = new Standing(deps, wait.row, () => wait.duties.wakingMs());
    this.#rowEnd = new RowEnd(deps, wait);
  }

  /** @throws McpctlError why the task was given up, as its duties say. */
  async next(): Promise<Arrived> {
    const { follower, gone, duties } = this.#wait;
    for (;;) {
      if (gone.aborted) return { kind: 'left' };
      const withinMs = Math.max(1, this.#dueAt - this.#deps.clock.elapsed());
      const item = await follower.next({ signal: gone, withinMs });
      if (item === null) {
        const arrived = await this.#nothing();
        if (arrived) return arrived;
      } else if (item.kind === 'back') {
        await duties.takeBack();
        this.#waiting = true;
      } else if (item.kind === 'requeued') this.#waiting = true;
      else if (item.kind === 'vanished') return item;
      else {
        this.#waiting = false;
        this.#spoken();
        this.#rowEnd.heard();
        this.#over ||= item.kind === 'end' || item.kind === 'closed';
        return item.kind === 'closed' ? await this.#rowEnd.ofClose(item) : item;
      }
    }
  }

  /** The end of the task came out of `next`. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * May events of this attempt be shown? Asked once per claim, before its first byte goes out. The task runs well while
   * only this edge's path to Redis is being mended, so it is asked again for a while.
   * @returns who has it; null when they may not. @throws McpctlError `unavailable`.
   */
  async mayShow(attempt: Attempt & Pick<Events, 'pinned'>): Promise<Shown | null> {
    const { pinned } = attempt;
    // Later than that Redis may have lost what it was told.
    if (pinned && performance.now() - pinned.heardAt < PIN_HOLDS_MS) return pinned;
    const { queue, clock } = this.#deps;
    const { row, gone } = this.#wait;
    const until = clock.elapsed() + PATIENCE_MS;
    for (;;) {
      try {
        const shown = await queue.fences.show({ ref: refOf(row), attempt });
        if (shown === null) this.#waiting = true; // handed back or replaced, whether or not a hint came of it
        return shown;
      } catch (thrown) {
        const passes = thrown instanceof McpctlError && thrown.code === 'unavailable';
        if (!passes || gone.aborted || clock.elapsed() > until) throw thrown;
        await pause(AGAIN_MS, gone);
      }
    }
  }

  /** When to look up though nothing comes. */
  get #dueAt(): number {
    const due = Math.min(this.#quietAt, this.#rowEnd.nextAt);
    return this.#waiting ? Math.min(due, this.#wait.duties.nextAt, this.#standing.nextAt) : due;
  }

  get #quietAt(): number {
    const { afterMs, firstMs } = this.#wait.quiet;
    return this.#quietFrom + (this.#first && firstMs !== undefined ? firstMs : afterMs());
  }

  #spoken(): void {
    this.#first = false;
    this.#quietFrom = this.#deps.clock.elapsed();
  }

  async #nothing(): Promise<Arrived | null> {
    const ended = (await this.#rowEnd.look()) ?? (this.#waiting ? await this.#wait.duties.act() : null);
    if (ended?.kind === 'taken') this.#waiting = false;
    else if (ended) return ended;
    const place = await this.#toTell();
    if (!place) return null;
    this.#spoken();
    return this.#wait.gone.aborted ? { kind: 'left' } : { kind: 'quiet', place };
  }

  /** Where the task stands, if its caller is to hear of it now. */
  async #toTell(): Promise<Place | null> {
    const now = this.#deps.clock.elapsed();
    const due = now >= this.#quietAt;
    if (!this.#waiting) return due ? { state: 'running', position: null } : null;
    if (due) return await this.#standing.now();
    return now >= this.#standing.nextAt ? await this.#standing.look() : null;
  }
}
