import { McpctlError, messageOf } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import { closeTask } from '../../../core/flow/end/cancel.ts';
import { isServed, mayReturn } from '../../../core/flow/alive/served.ts';
import { sleepersIn } from '../../../core/flow/alive/sleepers.ts';
import { allAttempts, excludedOf, isForsaken, takeBack, whyWaited } from '../../../core/flow/take-back.ts';
import { callsThatMayHaveRun, outcomeUnknown } from '../../../core/flow/may-have-run.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import { nobody, type Target } from '../ask/target.ts';
import type { RowSays } from './row-end.ts';
import { errorOfRow } from './settle.ts';
import type { Duties, Quiet } from './wait.ts';
import { Waking, wakingMsFor } from './waking.ts';

/** The first word to somebody who looks on comes soon. */
const FIRST_WORD_MS = 2_000;

/** The wait of who looks on: it gives up nothing and expires nothing. The maker's edge does, and the scheduler. */
export function lookingOn(deps: EdgeDeps, row: TaskRow): { quiet: Quiet; duties: Duties } {
  const { keepAliveMs } = deps.config;
  return {
    quiet: { afterMs: () => keepAliveMs, firstMs: Math.min(FIRST_WORD_MS, keepAliveMs) },
    duties: {
      nextAt: Infinity,
      act: () => Promise.resolve(null),
      takeBack: () => Promise.resolve(),
      wakingMs: () => wakingMsFor(deps, row),
    },
  };
}

export interface MakersWait {
  row: TaskRow;
  target: Target;
  /** How long the task may wait for a member. */
  queueMs: number;
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
 * Of the call that made the task: one that was handed back is requeued at once, one that nobody can serve any more is
 * given up (503), and one that has waited too long is expired (504).
 */
export class MakersDuties implements Duties {
  readonly #deps: EdgeDeps;
  readonly #wait: MakersWait;
  readonly #deadline: number;
  readonly #waking: Waking;
  /** Until then nobody need be there. */
  readonly #unservedUntil: number;
  #nextCheck: number;
  /** A stream was lost a moment ago, and may be back at once. */
  #returning = false;
  /** A worker let go of it, so there may be members that must not have it again. */
  #cameBack = false;
  /** And it could not be decided yet where it goes: a store was away. */
  #isBack = false;

  constructor(deps: EdgeDeps, wait: MakersWait) {
    this.#deps = deps;
    this.#wait = wait;
    const now = deps.clock.elapsed();
    this.#deadline = now + wait.queueMs;
    this.#unservedUntil = now + wait.unservedMs;
    this.#nextCheck = wait.target.served ? now + SOON_MS : now;
    this.#waking = new Waking(deps);
  }

  get nextAt(): number {
    return Math.min(this.#nextCheck, this.#waking.nextAt);
  }

  wakingMs(): number | null {
    return this.#waking.sinceMs();
  }

  /** @throws McpctlError `no_active_llm`, `queue_timeout`, `unavailable`, `wake_failed`. */
  async act(): Promise<RowSays | { kind: 'taken' } | null> {
    const now = this.#deps.clock.elapsed();
    let answer: RowSays | { kind: 'taken' } | null = null;
    if (this.#isBack && now >= this.#nextCheck) await this.takeBack();
    if (this.#isBack && now < this.#deadline + AWAY_MS) answer = null;
    else if (now >= this.#deadline) answer = await this.#expire();
    else if (now >= this.#nextCheck) answer = await this.#checkServed();
    else if (now >= this.#waking.nextAt) answer = await this.#checkWoken();
    if (now >= this.#nextCheck) this.#nextCheck = this.#checkAfter(now);
    return answer;
  }

  /** Decided here at once, and again while that fails; the scheduler would do the same half a second later. */
  async takeBack(): Promise<void> {
    this.#cameBack = true;
    this.#isBack = false;
    const { row } = this.#wait;
    try {
      const [fence] = await this.#deps.queue.fences.read([refOf(row)]);
      const current = await this.#deps.registry.tasks.byId(row.id);
      if (fence?.state === 'released' && current) {
        const { liveness } = this.#deps;
        await takeBack({ ...flowOf(this.#deps), liveness }, { row: current, fence });
      }
    } catch (thrown) {
      this.#isBack = true;
      this.#nextCheck = Math.min(this.#nextCheck, this.#deps.clock.elapsed() + SOON_MS);
      this.#deps.log.debug(
        { taskId: row.id, why: messageOf(thrown) },
        'a task that was handed back could not be given on yet; trying again',
      );
    }
  }

  /** When to look next: every 2 s, and when it is time that somebody is there. */
  #checkAfter(now: number): number {
    if (this.#returning || this.#isBack) return now + SOON_MS;
    const until = this.#unservedUntil;
    return now < until && until < now + CHECK_MS ? until : now + CHECK_MS;
  }

  async #expire(): Promise<RowSays | { kind: 'taken' } | null> {
    const message = 'No member took the task within its time limit.';
    const late = new McpctlError('queue_timeout', message, { taskId: this.#wait.row.id });
    return await this.#closeUnclaimed((await this.#notReady()) ?? late);
  }

  async #checkServed(): Promise<RowSays | { kind: 'taken' } | null> {
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
  async #checkWoken(): Promise<RowSays | { kind: 'taken' } | null> {
    const error = this.#waking.ask();
    return error && (await this.#closeUnclaimed(error));
  }

  /** Why no member will take it, naming each attempt when there were any; null while one may. */
  async #whyNobody(): Promise<McpctlError | null> {
    const { target, row } = this.#wait;
    const pool = await this.#deps.lookAtPool(target.poolKey);
    const not = [...target.unfit];
    if (this.#cameBack) {
      const [fence] = await this.#deps.queue.fences.read([refOf(row)]);
      if (fence?.claim === '' && isForsaken(pool, row, fence)) {
        const { code, message, reason } = await allAttempts(this.#deps, row);
        return new McpctlError(code, message, {
          taskId: row.id,
          reason: reason ?? null,
          ...(reason?.retryAfterS === undefined ? {} : { retryAfterS: reason.retryAfterS }),
        });
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
    return (await this.#notReady()) ?? nobody(target.poolKey, target.pinned);
  }

  /** What its caller has waited for, where that was a backend that was not ready. */
  async #notReady(): Promise<McpctlError | null> {
    const { row } = this.#wait;
    // Unknown where Postgres is away: then what is sure is told.
    const why = this.#cameBack ? await whyWaited(this.#deps, row).catch(() => null) : null;
    if (!why) return null;
    return new McpctlError(why.code, why.message, {
      taskId: row.id,
      reason: why.reason ?? null,
      retryAfterS: why.reason?.retryAfterS ?? NOT_READY_S,
    });
  }

  /**
   * Gives the task up for this reason, which is thrown then; or what the row says, if it ended otherwise meanwhile.
   * @returns the row when it had completed; `taken` when a member has the task: its beats decide how long that takes.
   */
  async #closeUnclaimed(asSeen: McpctlError): Promise<RowSays | { kind: 'taken' } | null> {
    const { row } = this.#wait;
    let error = asSeen;
    let closed: Awaited<ReturnType<typeof closeTask>>;
    try {
      const uncertain = await callsThatMayHaveRun(this.#deps, [row]);
      const isOver = this.#deps.clock.elapsed() > this.#deadline + AWAY_MS;
      if (!uncertain && !isOver) return null;
      if (!uncertain || uncertain.has(row.id)) error = outcomeUnknown(row.id);
      const { code, message, reason, retryAfterS } = error;
      const how = { mode: 'expire', status: 'error', code, message, reason, retryAfterS } as const;
      closed = await closeTask(flowOf(this.#deps), row, how);
    } catch (thrown) {
      // Redis or Postgres is away: the next check tries again, up to a little after the limit.
      if (this.#deps.clock.elapsed() > this.#deadline + AWAY_MS) throw thrown;
      const about = { taskId: row.id, why: messageOf(thrown) };
      this.#deps.log.debug(about, 'a waiting task could not be given up yet');
      return null;
    }
    if (closed === 'claimed' || closed === 'ended') return { kind: 'taken' };
    if (typeof closed === 'string') return null;
    if (closed?.status === 'completed') return { kind: 'row', row: closed };
    throw closed === undefined || closed.errorCode === error.code
      ? error
      : (errorOfRow(this.#deps, closed) ?? error);
  }
}
