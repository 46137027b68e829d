import type { Attempt } from '../../../core/queue/task/attempt.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import type { Place } from '../../../core/queue/task/place.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Shown } from '../../../core/queue/task/fence.ts';
import { mayShow } from './may-show.ts';
import { RowEnd } from './row-end.ts';
import { Standing } from './standing.ts';
import { wakingMsFor } from './waking.ts';
import type { Arrived } from './wait.ts';

export interface Watch {
  row: TaskRow;
  follower: Follower;
  /** Aborts when the reader has gone. */
  gone: AbortSignal;
}

/** The first word to a reader who waits comes soon. */
const FIRST_WORD_MS = 2_000;
/**
 * What happens to a task, in order, for a reader of its stream: somebody who looks on. So it gives up nothing
 * and expires nothing; the duties of the scheduler do, and the stream or the row tells of it.
 */
export class TaskWatch {
  readonly #deps: EdgeDeps;
  readonly #watch: Watch;
  readonly #standing: Standing;
  readonly #rowEnd: RowEnd;
  #quietAt: number;

  constructor(deps: EdgeDeps, watch: Watch) {
    this.#deps = deps;
    this.#watch = watch;
    this.#standing = new Standing(deps, watch.row, () => wakingMsFor(deps, watch.row));
    const now = deps.clock.elapsed();
    this.#quietAt = now + Math.min(FIRST_WORD_MS, deps.config.keepAliveMs);
    this.#rowEnd = new RowEnd(deps, watch);
  }

  async next(): Promise<Arrived> {
    const { follower, gone } = this.#watch;
    for (;;) {
      if (gone.aborted) return { kind: 'left' };
      const now = this.#deps.clock.elapsed();
      const withinMs = Math.max(1, Math.min(this.#quietAt, this.#rowEnd.nextAt, this.#standing.nextAt) - now);
      const item = await follower.next({ signal: gone, withinMs });
      if (item === null) {
        const arrived = await this.#nothing();
        if (arrived) return arrived;
      } else if (item.kind !== 'back' && item.kind !== 'requeued') {
        this.#heard();
        return item.kind === 'closed' ? await this.#rowEnd.ofClose(item) : item;
      }
    }
  }

  async mayShow(attempt: Attempt): Promise<Shown | null> {
    return await mayShow(this.#deps, this.#watch.row, { attempt, gone: this.#watch.gone });
  }

  #heard(): void {
    this.#standing.begun();
    const now = this.#deps.clock.elapsed();
    this.#quietAt = now + this.#deps.config.keepAliveMs;
    this.#rowEnd.heard();
  }

  async #nothing(): Promise<Arrived | null> {
    const now = this.#deps.clock.elapsed();
    const ended = await this.#rowEnd.look();
    if (ended) return ended;
    const place = await this.#toTell(now);
    if (!place || this.#watch.gone.aborted) return null;
    this.#quietAt = now + this.#deps.config.keepAliveMs;
    return { kind: 'quiet', place };
  }

  /** Where the task stands, if its reader is to hear of it now. */
  async #toTell(now: number): Promise<Place | null> {
    if (now >= this.#quietAt) return await this.#standing.now();
    return now >= this.#standing.nextAt ? await this.#standing.look() : null;
  }
}
