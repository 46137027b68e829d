import { McpctlError, messageOf } from '../../core/errors.ts';
import { closeTask, type Closing } from '../../core/flow/cancel.ts';
import { requeueTask } from '../../core/flow/requeue.ts';
import { isServed } from '../../core/flow/served.ts';
import { readFences, show } from '../../core/queue/fence.ts';
import type { Entry } from '../../core/queue/stream.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import type { Submitted } from './submit.ts';
import { nobody, type Target } from './target.ts';

export type Arrived = Entry | { kind: 'quiet' } | { kind: 'left' };

export interface Wait {
  submitted: Submitted;
  target: Target;
  /** Aborts when the caller has gone. */
  gone: AbortSignal;
  /** How long to wait before `quiet` is reported, so that something can be sent. */
  quietMs: () => number;
}

/** How often a caller who waits for a member is checked on: is there still one to wait for? */
const CHECK_MS = 2_000;
/** How much longer than its limit a caller waits while nobody can tell what became of its task. */
const AWAY_MS = 30_000;

/**
 * What happens to a submitted task, in order, while its caller waits. It also does what waiting obliges to:
 * a task that was handed back is requeued at once, one that nobody can serve any more is given up (503), and
 * one that has waited too long is expired (504).
 */
export class TaskWait {
  readonly #deps: EdgeDeps;
  readonly #wait: Wait;
  readonly #deadline: number;
  #nextCheck: number;
  #quietFrom: number;
  /** No event and no claim seen yet. */
  #waiting = true;

  constructor(deps: EdgeDeps, wait: Wait, queueMs: number) {
    this.#deps = deps;
    this.#wait = wait;
    const now = deps.clock.elapsed();
    this.#deadline = now + queueMs;
    this.#nextCheck = now + CHECK_MS;
    this.#quietFrom = now;
  }

  /** @throws McpctlError `no_active_llm`, `queue_timeout`, `unavailable`. */
  async next(): Promise<Arrived> {
    const { submitted, gone, quietMs } = this.#wait;
    for (;;) {
      if (gone.aborted) return { kind: 'left' };
      const now = this.#deps.clock.elapsed();
      const quietAt = this.#quietFrom + quietMs();
      const until = this.#waiting ? Math.min(quietAt, this.#nextCheck) : quietAt;
      const item = await submitted.follower.next({ signal: gone, withinMs: Math.max(1, until - now) });
      if (item === null) {
        const quiet = await this.#nothing();
        if (quiet) return quiet;
      } else if (item.kind === 'back') await this.#takeBack();
      else if (item.kind === 'requeued') this.#waiting = true;
      else {
        this.#waiting = false;
        this.#quietFrom = this.#deps.clock.elapsed();
        return item;
      }
    }
  }

  /** May events of this epoch be shown? Asked once per claim, before its first byte goes out. */
  async mayShow(epoch: number): Promise<boolean> {
    const { row } = this.#wait.submitted;
    const { redis, keys } = this.#deps.queue;
    return await show(redis, keys, { ref: { taskId: row.id, poolKey: row.poolName }, epoch });
  }

  async #nothing(): Promise<Arrived | null> {
    const now = this.#deps.clock.elapsed();
    if (this.#waiting && now >= this.#deadline) await this.#expire();
    else if (this.#waiting && now >= this.#nextCheck) await this.#checkServed();
    this.#nextCheck = Math.max(this.#nextCheck, now + CHECK_MS);
    if (now < this.#quietFrom + this.#wait.quietMs()) return null;
    this.#quietFrom = now;
    return this.#wait.gone.aborted ? { kind: 'left' } : { kind: 'quiet' };
  }

  async #expire(): Promise<void> {
    const message = 'No member took the task within its time limit.';
    if (await this.#closeUnclaimed({ mode: 'expire', status: 'error', code: 'queue_timeout', message })) {
      throw new McpctlError('queue_timeout', message, { taskId: this.#wait.submitted.row.id });
    }
  }

  async #checkServed(): Promise<void> {
    const { target } = this.#wait;
    try {
      if (isServed(await this.#deps.liveness.loadPool(target.poolKey), target.pin?.id ?? null)) return;
    } catch (thrown) {
      this.#deps.log.debug(
        { why: messageOf(thrown) },
        'whether a pool is served could not be asked; waiting on',
      );
      return;
    }
    const error = nobody(target.poolKey, target.pin?.name ?? null);
    const closing = { mode: 'expire', status: 'error', code: error.code, message: error.message } as const;
    if (await this.#closeUnclaimed(closing)) throw error;
  }

  /** @returns false when a member has it: then its beats, not we, decide how long that takes. */
  async #closeUnclaimed(closing: Closing): Promise<boolean> {
    const { row } = this.#wait.submitted;
    try {
      const closed = await closeTask(flowOf(this.#deps), row, closing);
      if (closed !== 'claimed' && closed !== 'ended') return true;
      this.#waiting = false;
    } catch (thrown) {
      // Redis or Postgres is away: the next check tries again, up to a little after the limit.
      if (this.#deps.clock.elapsed() > this.#deadline + AWAY_MS) throw thrown;
      this.#deps.log.debug(
        { taskId: row.id, why: messageOf(thrown) },
        'a waiting task could not be given up yet',
      );
    }
    return false;
  }

  /** A worker let go of it: requeued here at once; the scheduler would do the same half a second later. */
  async #takeBack(): Promise<void> {
    const { row } = this.#wait.submitted;
    const { redis, keys } = this.#deps.queue;
    try {
      const [fence] = await readFences(redis, keys, [{ taskId: row.id, poolKey: row.poolName }]);
      const current = await this.#deps.registry.tasks.byId(row.id);
      if (fence?.state === 'released' && current)
        await requeueTask(flowOf(this.#deps), { row: current, fence });
    } catch (thrown) {
      this.#deps.log.debug(
        { taskId: row.id, why: messageOf(thrown) },
        'a task that was handed back is left to the scheduler',
      );
    }
    this.#waiting = true;
  }
}
