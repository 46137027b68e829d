import { McpctlError, messageOf } from '../../../core/errors.ts';
import { closeTask } from '../../../core/flow/end/cancel.ts';
import { isServed, mayReturn } from '../../../core/flow/alive/served.ts';
import { sleepersIn } from '../../../core/flow/alive/sleepers.ts';
import { allAttempts, excludedOf, isForsaken, takeBack, whyWaited } from '../../../core/flow/take-back.ts';
import type { Attempt } from '../../../core/queue/task/attempt.ts';
import { readFences } from '../../../core/queue/task/fence.ts';
import type { Place } from '../../../core/queue/task/place.ts';
import type { Entry } from '../../../core/queue/task/stream.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import type { Shown } from '../../../core/queue/task/fence.ts';
import { mayShow } from './may-show.ts';
import { RowEnd, type RowSays } from './row-end.ts';
import { errorOfRow } from './settle.ts';
import { Standing } from './standing.ts';
import type { Submitted } from '../ask/submit.ts';
import { nobody, type Target } from '../ask/target.ts';
import { Waking } from './waking.ts';

/** `quiet`: time to send something, and where the task stands meanwhile. */
export type Arrived = Entry | RowSays | { kind: 'gap' } | { kind: 'quiet'; place: Place } | { kind: 'left' };

export interface Wait {
  submitted: Submitted;
  target: Target;
  /** Aborts when the caller has gone. */
  gone: AbortSignal;
  /** How long to wait before `quiet` is reported, so that something can be sent. */
  quietMs: () => number;
  /** How long to wait for a member where nobody is there; then, as without it, 503. */
  unservedMs: number;
}

/** How often a caller who waits for a member is checked on: is there still one to wait for? */
const CHECK_MS = 2_000;
/** The first time sooner: it was let in by what was seen a moment ago. And as long as somebody may be back at once. */
const SOON_MS = 600;
/** When a call may be made again whose backend was not ready in all the time that its caller had. */
const NOT_READY_S = 5;
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
  readonly #standing: Standing;
  readonly #waking: Waking;
  readonly #rowEnd: RowEnd;
  /** Until then nobody need be there. */
  readonly #unservedUntil: number;
  #nextCheck: number;
  /** A stream was lost a moment ago, and may be back at once. */
  #returning = false;
  #quietFrom: number;
  /** No event and no claim seen yet. */
  #waiting = true;
  /** A worker let go of it, so there may be members that must not have it again. */
  #cameBack = false;
  #over = false;

  constructor(deps: EdgeDeps, wait: Wait, queueMs: number) {
    this.#deps = deps;
    this.#wait = wait;
    const now = deps.clock.elapsed();
    this.#deadline = now + queueMs;
    this.#unservedUntil = now + wait.unservedMs;
    this.#nextCheck = wait.target.served ? now + SOON_MS : now;
    this.#quietFrom = now;
    this.#waking = new Waking(deps);
    this.#standing = new Standing(deps, wait.submitted.row, () => this.#waking.sinceMs());
    this.#rowEnd = new RowEnd(deps, wait.submitted);
  }

  /** @throws McpctlError `no_active_llm`, `queue_timeout`, `unavailable`. */
  async next(): Promise<Arrived> {
    const { submitted, gone, quietMs } = this.#wait;
    for (;;) {
      if (gone.aborted) return { kind: 'left' };
      const now = this.#deps.clock.elapsed();
      const quietAt = this.#quietFrom + quietMs();
      const due = this.#waiting ? Math.min(quietAt, this.#dueAt) : quietAt;
      const withinMs = Math.max(1, Math.min(due, this.#rowEnd.nextAt) - now);
      const item = await submitted.follower.next({ signal: gone, withinMs });
      if (item === null) {
        const arrived = await this.#nothing();
        if (arrived) return arrived;
      } else if (item.kind === 'back') await this.#takeBack();
      else if (item.kind === 'requeued') this.#waiting = true;
      else {
        this.#waiting = false;
        this.#quietFrom = this.#deps.clock.elapsed();
        this.#rowEnd.heard();
        this.#over ||= item.kind === 'end' || item.kind === 'closed';
        return item.kind === 'closed' ? await this.#rowEnd.ofClose(item) : item;
      }
    }
  }

  /** When a waiting task is to be looked after. */
  get #dueAt(): number {
    return Math.min(this.#nextCheck, this.#standing.nextAt, this.#waking.nextAt);
  }

  /** The end of the task came out of `next`. */
  get over(): boolean {
    return this.#over;
  }

  async mayShow(attempt: Attempt): Promise<Shown | null> {
    const { submitted, gone } = this.#wait;
    return await mayShow(this.#deps, submitted.row, { attempt, gone });
  }

  async #nothing(): Promise<Arrived | null> {
    const now = this.#deps.clock.elapsed();
    let ended = await this.#rowEnd.look();
    if (!ended && this.#waiting && now >= this.#deadline) ended = await this.#expire();
    else if (!ended && this.#waiting && now >= this.#nextCheck) ended = await this.#checkServed();
    else if (!ended && this.#waiting && now >= this.#waking.nextAt) ended = await this.#checkWoken();
    if (ended) return ended;
    if (now >= this.#nextCheck) this.#nextCheck = this.#checkAfter(now);
    const place = await this.#toTell(now);
    if (!place) return null;
    this.#quietFrom = now;
    return this.#wait.gone.aborted ? { kind: 'left' } : { kind: 'quiet', place };
  }

  /** Where the task stands, if its caller is to hear of it now. */
  async #toTell(now: number): Promise<Place | null> {
    const due = now >= this.#quietFrom + this.#wait.quietMs();
    if (!this.#waiting) return due ? { state: 'running', position: null } : null;
    if (due) return await this.#standing.now();
    return now >= this.#standing.nextAt ? await this.#standing.look() : null;
  }

  /** When to look next: every 2 s, and when it is time that somebody is there. */
  #checkAfter(now: number): number {
    if (this.#returning) return now + SOON_MS;
    const until = this.#unservedUntil;
    return now < until && until < now + CHECK_MS ? until : now + CHECK_MS;
  }

  async #expire(): Promise<RowSays | null> {
    const { row } = this.#wait.submitted;
    const message = 'No member took the task within its time limit.';
    const late = new McpctlError('queue_timeout', message, { taskId: row.id });
    return await this.#closeUnclaimed((await this.#notReady()) ?? late);
  }

  async #checkServed(): Promise<RowSays | null> {
    let error: McpctlError | null;
    try {
      error = await this.#whyNobody();
    } catch (thrown) {
      const why = messageOf(thrown);
      this.#deps.log.debug({ why }, 'whether a pool is served could not be asked; waiting on');
      return null;
    }
    return error && (await this.#closeUnclaimed(error));
  }

  /** The wake that it waits for may have failed. */
  async #checkWoken(): Promise<RowSays | null> {
    const error = this.#waking.ask();
    return error && (await this.#closeUnclaimed(error));
  }

  /** Why no member will take it, naming each attempt when there were any; null while one may. */
  async #whyNobody(): Promise<McpctlError | null> {
    const { target, submitted } = this.#wait;
    const { row } = submitted;
    const { redis, keys } = this.#deps.queue;
    const pool = await this.#deps.lookAtPool(target.poolKey);
    const not = [...target.unfit];
    if (this.#cameBack) {
      const [fence] = await readFences(redis, keys, [{ taskId: row.id, poolKey: row.poolName }]);
      if (fence?.claim === '' && isForsaken(pool, row, fence)) {
        const { code, message } = await allAttempts(this.#deps, row);
        return new McpctlError(code, message, { taskId: row.id });
      }
      if (fence) not.push(...excludedOf(fence));
    }
    const pin = target.pin?.id ?? null;
    const served = isServed(pool, pin, not);
    const sleepers = served ? [] : sleepersIn(pool, pin, not);
    this.#waking.of(sleepers);
    if (sleepers.length > 0) return this.#waking.ask();
    this.#returning = !served && mayReturn(pool, pin, not);
    if (served || this.#returning || this.#deps.clock.elapsed() < this.#unservedUntil) return null;
    return (await this.#notReady()) ?? nobody(target.poolKey, target.pin?.name ?? null);
  }

  /** What its caller has waited for, where that was a backend that was not ready. */
  async #notReady(): Promise<McpctlError | null> {
    const { row } = this.#wait.submitted;
    // Unknown where Postgres is away: then what is sure is told.
    const why = this.#cameBack ? await whyWaited(this.#deps, row).catch(() => null) : null;
    return why && new McpctlError(why.code, why.message, { taskId: row.id, retryAfterS: NOT_READY_S });
  }

  /**
   * Gives the task up for this reason, which is thrown then; or what the row says, if it ended otherwise meanwhile.
   * @returns the row when it had completed; null when a member has the task: its beats decide how long that takes.
   */
  async #closeUnclaimed(error: McpctlError): Promise<RowSays | null> {
    const { row } = this.#wait.submitted;
    const { code, message } = error;
    let closed: Awaited<ReturnType<typeof closeTask>>;
    try {
      closed = await closeTask(flowOf(this.#deps), row, { mode: 'expire', status: 'error', code, message });
    } catch (thrown) {
      // Redis or Postgres is away: the next check tries again, up to a little after the limit.
      if (this.#deps.clock.elapsed() > this.#deadline + AWAY_MS) throw thrown;
      const about = { taskId: row.id, why: messageOf(thrown) };
      this.#deps.log.debug(about, 'a waiting task could not be given up yet');
      return null;
    }
    if (closed === 'claimed' || closed === 'ended') this.#waiting = false;
    if (typeof closed === 'string') return null;
    if (closed?.status === 'completed') return { kind: 'row', row: closed };
    throw closed === undefined || closed.errorCode === code ? error : (errorOfRow(closed) ?? error);
  }

  /** A worker let go of it: decided here at once; the scheduler would do the same half a second later. */
  async #takeBack(): Promise<void> {
    this.#cameBack = true;
    const { row } = this.#wait.submitted;
    const { redis, keys } = this.#deps.queue;
    try {
      const [fence] = await readFences(redis, keys, [{ taskId: row.id, poolKey: row.poolName }]);
      const current = await this.#deps.registry.tasks.byId(row.id);
      if (fence?.state === 'released' && current) {
        const { liveness } = this.#deps;
        await takeBack({ ...flowOf(this.#deps), liveness }, { row: current, fence });
      }
    } catch (thrown) {
      this.#deps.log.debug(
        { taskId: row.id, why: messageOf(thrown) },
        'a task that was handed back is left to the scheduler',
      );
    }
    this.#waiting = true;
  }
}
