import { messageOf } from '../../core/errors.ts';
import type { Sleeper } from '../../core/flow/alive/sleepers.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { WakeState } from '../../core/queue/live/wake.ts';
import { wakeBackOffMs } from '../../core/member/wake.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** What is known of an llm that callers of this edge wait for; instants by the clock's `elapsed()`. */
export interface KnownWake {
  /** Since when it is being woken; null: nobody does, as far as is known. */
  since: number | null;
  failed: { reason: string; at: number } | null;
  /** After failures in a row it is left alone until then. */
  notBefore: number;
}

const READ_MS = 500;
const SEND_MS = 2_000;
/** Who waits asks again within this, or waits no more. */
const WANTED_MS = 3_000;

/** Two readings of one failure's age differ by the time of a round trip. */
const SAME_FAILURE_MS = 400;
/** A wake that fails so long after it might have been tried again is the first in a row. */
const FORGOTTEN_MS = 300_000;

interface Known extends KnownWake {
  worker: Sleeper['worker'];
  /** Redis's own instant of the failure that was seen last. */
  failedAt: number | null;
  watchedUntil: number;
  wantedUntil: number;
  sentAt: number;
  read: boolean;
}

/**
 * Has sleeping llms woken for all callers of this edge, however many wait: one loop reads how the wakes go, and asks
 * for those that are wanted, every 2 s, until a worker does it. Nobody has to say that it waits no more.
 */
export class Wakings implements Service {
  readonly name = 'wakings';
  readonly #deps: { queue: Pick<QueueDoor, 'wakes' | 'control'>; clock: Clock; log: Log };
  readonly #wakes = new Map<string, Known>();
  /** Of llms whose last wakes failed, also while nobody waits for them. */
  readonly #failures = new Map<string, { count: number; at: number; notBefore: number }>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | null = null;

  constructor(deps: { queue: Pick<QueueDoor, 'wakes' | 'control'>; clock: Clock; log: Log }) {
    this.#deps = deps;
  }

  /** How the wake of this llm goes; from here on that is read for a while. Null: not known yet. */
  watch({ llmId, worker }: Sleeper): KnownWake | null {
    const now = this.#deps.clock.elapsed();
    let entry = this.#wakes.get(llmId);
    if (!entry) {
      const notBefore = this.#failures.get(llmId)?.notBefore ?? -Infinity;
      const never = { since: null, failed: null, failedAt: null, notBefore, read: false, sentAt: -Infinity };
      entry = { ...never, worker, watchedUntil: 0, wantedUntil: -Infinity };
      this.#wakes.set(llmId, entry);
    }
    entry.worker = worker;
    entry.watchedUntil = now + WANTED_MS;
    this.#loop ??= this.#turn();
    return entry.read ? entry : null;
  }

  /** The llm is to be woken, unless it is being woken already. To be said again while that is so. */
  want(llmId: string): void {
    const entry = this.#wakes.get(llmId);
    if (entry) entry.wantedUntil = this.#deps.clock.elapsed() + WANTED_MS;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #turn(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const now = this.#deps.clock.elapsed();
      for (const [llmId, { watchedUntil }] of this.#wakes) if (watchedUntil < now) this.#wakes.delete(llmId);
      if (this.#wakes.size === 0) break;
      try {
        await this.#readAll();
        await this.#sendWanted();
      } catch (thrown) {
        this.#deps.log.debug({ why: messageOf(thrown) }, 'how wakes go could not be read; trying again');
      }
      await pause(READ_MS, signal);
    }
    this.#loop = null;
  }

  async #readAll(): Promise<void> {
    const { queue, clock } = this.#deps;
    const ids = [...this.#wakes.keys()];
    const now = clock.elapsed();
    const states = await queue.wakes.read(ids);
    ids.forEach((llmId, at) => {
      const entry = this.#wakes.get(llmId);
      const state = states[at];
      if (!entry || !state || !take(entry, state, now)) return;
      entry.notBefore = this.#failedAgain(llmId, entry.failed?.at ?? now);
    });
  }

  /** Who sees a failure for the first time counts it. @returns from when the llm may be tried again. */
  #failedAgain(llmId: string, at: number): number {
    const before = this.#failures.get(llmId);
    if (before && Math.abs(before.at - at) < SAME_FAILURE_MS) return before.notBefore;
    for (const [id, { notBefore }] of this.#failures)
      if (at - notBefore > FORGOTTEN_MS) this.#failures.delete(id);
    const count = (this.#failures.get(llmId)?.count ?? 0) + 1;
    const notBefore = at + wakeBackOffMs(count);
    this.#failures.set(llmId, { count, at, notBefore });
    return notBefore;
  }

  async #sendWanted(): Promise<void> {
    const { queue, clock } = this.#deps;
    for (const [wakeId, entry] of this.#wakes) {
      const now = clock.elapsed();
      const isWanted = entry.wantedUntil >= now && entry.notBefore <= now;
      const due = isWanted && entry.since === null && now - entry.sentAt >= SEND_MS;
      if (!due || !entry.worker) continue;
      entry.sentAt = now;
      await queue.control.send({ ...entry.worker, message: { kind: 'wake', wakeId } });
    }
  }
}

/** @returns whether it tells of a failure that was not known. */
function take(entry: Known, { waking, failed }: WakeState, now: number): boolean {
  entry.read = true;
  entry.since = waking && now - waking.sinceMs;
  if (!failed || failed.at === entry.failedAt) return false;
  entry.failedAt = failed.at;
  entry.failed = { reason: failed.reason, at: now - failed.ageMs };
  // Those who wanted it waited for this try; who comes now asks for another.
  entry.wantedUntil = -Infinity;
  entry.sentAt = -Infinity;
  return true;
}
