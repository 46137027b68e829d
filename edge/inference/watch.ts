import { McpctlError, messageOf } from '../../core/errors.ts';
import type { Follower } from '../../core/queue/follow.ts';
import type { Place } from '../../core/queue/place.ts';
import { isTerminal, type TaskRow } from '../../core/task.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { EdgeDeps } from '../deps.ts';
import { mayShow } from './may-show.ts';
import { Standing } from './standing.ts';
import type { Arrived } from './wait.ts';

export interface Watch {
  row: TaskRow;
  follower: Follower;
  /** Aborts when the reader has gone. */
  gone: AbortSignal;
}

/** The first word to a reader who waits comes soon. */
const FIRST_WORD_MS = 2_000;
/** The row is asked this often while nothing comes: it may have ended without its stream. */
const ASK_EVERY_MS = 5_000;
/** Once it has: what the stream still holds is here by then. */
const ASK_AGAIN_MS = 250;
/** A close is in the stream a moment before it is in the row. */
const ASK_CLOSED_MS = 25;

/**
 * What happens to a task, in order, for a reader of its stream: somebody who looks on. So it gives up nothing
 * and expires nothing; the duties of the scheduler do, and the stream or the row tells of it.
 */
export class TaskWatch {
  readonly #deps: EdgeDeps;
  readonly #watch: Watch;
  readonly #standing: Standing;
  #quietAt: number;
  #askAt: number;
  /** The row has ended, and what its stream still holds is being read. */
  #over = false;

  constructor(deps: EdgeDeps, watch: Watch) {
    this.#deps = deps;
    this.#watch = watch;
    this.#standing = new Standing(deps, watch.row);
    const now = deps.clock.elapsed();
    this.#quietAt = now + Math.min(FIRST_WORD_MS, deps.config.keepAliveMs);
    this.#askAt = now + ASK_EVERY_MS;
  }

  /** @throws McpctlError `gone` when the task has ended and its last events are nowhere. */
  async next(): Promise<Arrived> {
    const { follower, gone } = this.#watch;
    for (;;) {
      if (gone.aborted) return { kind: 'left' };
      const now = this.#deps.clock.elapsed();
      const withinMs = Math.max(1, Math.min(this.#quietAt, this.#askAt, this.#standing.nextAt) - now);
      const item = await follower.next({ signal: gone, withinMs });
      if (item === null) {
        const arrived = await this.#nothing();
        if (arrived) return arrived;
      } else if (item.kind !== 'back' && item.kind !== 'requeued') {
        this.#heard();
        if (item.kind === 'closed') await this.#untilRowSays();
        return item;
      }
    }
  }

  async mayShow(epoch: number): Promise<boolean> {
    return await mayShow(this.#deps, this.#watch.row, { epoch, gone: this.#watch.gone });
  }

  #heard(): void {
    this.#standing.begun();
    const now = this.#deps.clock.elapsed();
    this.#quietAt = now + this.#deps.config.keepAliveMs;
    this.#askAt = now + ASK_EVERY_MS;
  }

  async #nothing(): Promise<Arrived | null> {
    const now = this.#deps.clock.elapsed();
    if (now >= this.#askAt) {
      this.#askAt = now + ASK_EVERY_MS;
      const ended = await this.#ended();
      if (ended) return ended;
    }
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

  /** For a task whose row has ended: its stream is read once more, then the row speaks. */
  async #ended(): Promise<Arrived | null> {
    const row = await this.#rowIfEnded();
    if (!row) return null;
    if (!this.#over) {
      this.#over = true;
      this.#askAt = this.#deps.clock.elapsed() + ASK_AGAIN_MS;
      this.#watch.follower.readRecord();
      return null;
    }
    if (row.status === 'completed') throw new McpctlError('gone', undefined, { taskId: row.id });
    const how = { code: row.errorCode ?? 'task_cancelled', message: row.errorMessage ?? '' };
    const kind = row.status === 'cancelled' ? 'cancelled' : 'failed';
    return { kind: 'closed', epoch: row.epoch, seq: 0, outcome: { kind, ...how } };
  }

  async #untilRowSays(): Promise<void> {
    const until = this.#deps.clock.elapsed() + this.#deps.config.settleWaitMs;
    while (this.#deps.clock.elapsed() < until && !(await this.#rowIfEnded())) await pause(ASK_CLOSED_MS);
  }

  async #rowIfEnded(): Promise<TaskRow | null> {
    try {
      const row = await this.#deps.registry.tasks.byId(this.#watch.row.id);
      return row && isTerminal(row.status) ? row : null;
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'a row could not be asked; waiting on');
      return null;
    }
  }
}
