import { McpctlError } from '../../../core/errors.ts';
import { isServed } from '../../../core/flow/alive/served.ts';
import { sleepersIn, type Sleeper } from '../../../core/flow/alive/sleepers.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { KnownWake } from '../../waiting/wakings.ts';

/** What the edge knows is looked at this often; that costs nothing. */
const LOOK_MS = 200;
const RETRY_AFTER_S = 10;
const LEFT_ALONE = 'its last wakes failed, and it is left alone for a while.';

/**
 * The wake that one caller waits for. One sleeping member at a time is asked for: the one that is being woken
 * already, else the first that has not failed since this caller began to wait.
 */
export class Waking {
  readonly #deps: Pick<EdgeDeps, 'wakings' | 'clock'>;
  readonly #began: number;
  #sleepers: readonly Sleeper[] = [];
  #since: number | null = null;
  #nextAt = Infinity;

  constructor(deps: Pick<EdgeDeps, 'wakings' | 'clock'>) {
    this.#deps = deps;
    this.#began = deps.clock.elapsed();
  }

  /** When to ask next, by the clock's `elapsed()`. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** Who can be woken for the task, as was just found; nobody where somebody serves. */
  of(sleepers: readonly Sleeper[]): void {
    this.#sleepers = sleepers;
    if (sleepers.length > 0) return;
    this.#since = null;
    this.#nextAt = Infinity;
  }

  /** Has one of them woken. @returns why, when each has failed since this caller began to wait. */
  ask(): McpctlError | null {
    const { wakings, clock } = this.#deps;
    this.#nextAt = clock.elapsed() + LOOK_MS;
    const all = this.#sleepers.map((sleeper) => ({ sleeper, wake: wakings.watch(sleeper) }));
    if (all.length === 0) return null;
    this.#since = Math.min(...all.map(({ wake }) => wake?.since ?? Infinity));
    if (all.some(({ wake }) => wake === null)) return null; // it is being read
    const untried = all.filter(({ wake }) => !this.#sawFail(wake));
    if (untried.length === 0) return failed(all, clock.elapsed());
    const busy = untried.find(({ wake }) => wake?.since != null);
    const chosen = busy ?? untried.find(({ wake }) => wake?.failed === null) ?? untried[0];
    if (chosen) wakings.want(chosen.sleeper.llmId);
    return null;
  }

  /** How long a member has been waking; null: none is. */
  sinceMs(): number | null {
    if (this.#since === null || !Number.isFinite(this.#since)) return null;
    return Math.max(0, this.#deps.clock.elapsed() - this.#since);
  }

  #sawFail(wake: KnownWake | null): boolean {
    if (wake === null) return false;
    if (wake.notBefore > this.#deps.clock.elapsed()) return true; // it is left alone
    return wake.failed !== null && wake.failed.at > this.#began;
  }
}

/** Why none of them could be woken. */
function failed(all: readonly { sleeper: Sleeper; wake: KnownWake | null }[], now: number): McpctlError {
  const whys = all.map(({ sleeper, wake }) => `${sleeper.name}: ${wake?.failed?.reason ?? LEFT_ALONE}`);
  const message = `The backend sleeps and could not be woken. ${whys.join(' ')}`;
  const soonestMs = Math.min(...all.map(({ wake }) => wake?.notBefore ?? now)) - now;
  const retryAfterS = Math.max(RETRY_AFTER_S, Math.ceil(soonestMs / 1_000));
  return new McpctlError('wake_failed', message.slice(0, 2_000), { retryAfterS });
}

/** For who only looks on: how long a member has been waking for this task; null: none is, as far as is known. */
export async function wakingMsFor(
  { lookAtPool, wakings, clock }: Pick<EdgeDeps, 'lookAtPool' | 'wakings' | 'clock'>,
  row: TaskRow,
): Promise<number | null> {
  const pool = await lookAtPool(row.poolName);
  if (isServed(pool, row.pin)) return null;
  const wakes = sleepersIn(pool, row.pin).map((sleeper) => wakings.watch(sleeper));
  const since = Math.min(...wakes.map((wake) => wake?.since ?? Infinity));
  return Number.isFinite(since) ? Math.max(0, clock.elapsed() - since) : null;
}
