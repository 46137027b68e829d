import { McpctlError, messageOf } from '../errors.ts';
import { isHeld, saysAway } from '../trouble.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** How one round over items went. */
export interface Round {
  /** How many items were changed. */
  did: number;
  /** Items that were due and not come to, as far as they are known: the budget was spent. */
  left: number;
  /** Items that failed by themselves, and rest before they are tried again. */
  failed: number;
  /** Items that never worked, and were ended for it. */
  ended: number;
}

/** What came of a batch, where those that failed are known by themselves. */
export interface Acted<T> {
  did: number;
  failed: ReadonlyMap<T, unknown>;
}

export interface EachItemOptions<T> {
  /** Whose loop it is, for the log. */
  name: string;
  idOf: (item: T) => string;
  /**
   * Does what is to be done for these, and resolves with how many it changed. One that has vanished, or that somebody
   * else was quicker with, is none. It rejects for all of them when one of them makes it, or says which failed.
   */
  act: (items: readonly T[], signal: AbortSignal) => Promise<number | Acted<T>>;
  /** Ends one that has failed `GIVE_UP` times for a reason of its own; without it such a one rests for longer and longer. */
  giveUp?: (item: T, why: string) => Promise<unknown>;
  /** How many items `act` is given at a time, and how many of those run beside each other. */
  together?: number;
  lanes?: number;
  /** After this no new batch is begun in a round. */
  budgetMs?: number;
  /** A batch that has not come to its end by then is given up; what it still does changes nothing done twice. */
  actMs?: number;
  clock: Clock;
  log: Log;
}

const GIVE_UP = 5;
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 5 * 60_000;
/** Items that rest are remembered, no more of them than this. */
const MOST_RESTING = 10_000;
/** So many single items in a row that found a store away, and none that went well: it is the store. */
const AWAY_IN_A_ROW = 3;

interface Resting {
  times: number;
  until: number;
}

/** What one round has met so far. */
interface Met {
  round: Round;
  awayInARow: number;
  /** No new batch, nor a part of one, is begun after it. */
  until: number;
}

/**
 * The frame of every loop over items: each is acted on within a budget, one that makes a batch fail is found by halving
 * the batch, rests for longer each time, and is ended when it never works. No item stops another; a store that is away
 * stops the round and is held against no item, and what somebody else holds just now stops nothing and is held against nobody.
 */
export class EachItem<T> {
  readonly #o: Required<Omit<EachItemOptions<T>, 'giveUp'>> & Pick<EachItemOptions<T>, 'giveUp'>;
  readonly #resting = new Map<string, Resting>();

  constructor(options: EachItemOptions<T>) {
    this.#o = { together: 1, lanes: 4, budgetMs: 5_000, actMs: 10_000, ...options };
  }

  /** @throws McpctlError `unavailable` when a store is away. */
  async run(items: readonly T[], signal: AbortSignal): Promise<Round> {
    const { clock, together, lanes, budgetMs } = this.#o;
    const began = clock.elapsed();
    const due = this.#resting.size === 0 ? items : this.#due(items, began);
    const until = began + budgetMs;
    const met: Met = { round: { did: 0, left: 0, failed: 0, ended: 0 }, awayInARow: 0, until };
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < due.length && !signal.aborted && clock.elapsed() < until) {
        const batch = due.slice(next, next + together);
        next += batch.length;
        await this.#isolate(batch, met, signal);
      }
    };
    const settled = await Promise.allSettled(Array.from({ length: lanes }, lane));
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
    met.round.left += due.length - next;
    return met.round;
  }

  /** Items that rest after they failed. */
  get resting(): number {
    return this.#resting.size;
  }

  async #isolate(batch: readonly T[], met: Met, signal: AbortSignal): Promise<void> {
    const { act, idOf, clock } = this.#o;
    try {
      const acted = await this.#within(act(batch, signal));
      const { did, failed } =
        typeof acted === 'number' ? { did: acted, failed: new Map<T, unknown>() } : acted;
      met.round.did += did;
      if (failed.size < batch.length) met.awayInARow = 0;
      for (const item of batch) {
        if (failed.has(item)) await this.#failed(item, failed.get(item), met);
        else if (this.#resting.size > 0) this.#resting.delete(idOf(item));
      }
    } catch (thrown) {
      const [only] = batch;
      if (met.awayInARow >= AWAY_IN_A_ROW) throw thrown;
      if (batch.length > 1) {
        const half = Math.ceil(batch.length / 2);
        for (const part of [batch.slice(0, half), batch.slice(half)])
          if (!signal.aborted && clock.elapsed() < met.until) await this.#isolate(part, met, signal);
          else met.round.left += part.length;
      } else if (only !== undefined) await this.#failed(only, thrown, met);
    }
  }

  async #failed(item: T, thrown: unknown, met: Met): Promise<void> {
    const { name, idOf, giveUp, clock, log } = this.#o;
    const id = idOf(item);
    const isAway = saysAway(thrown);
    if (isAway && ++met.awayInARow >= AWAY_IN_A_ROW) throw thrown;
    if (!isAway) met.awayInARow = 0;
    const isItsOwn = !isAway && !isHeld(thrown);
    const times = (this.#resting.get(id)?.times ?? 0) + (isItsOwn ? 1 : 0);
    met.round.failed += 1;
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** Math.max(0, times - 1));
    this.#rest(id, { times, until: clock.elapsed() + restMs });
    log.warn(
      { loop: name, id, times, restMs, why: messageOf(thrown) },
      'an item failed; it rests, the others go on',
    );
    if (giveUp === undefined || !isItsOwn || times < GIVE_UP) return;
    try {
      await this.#within(giveUp(item, messageOf(thrown)));
      met.round.ended += 1;
      this.#resting.delete(id);
    } catch (again) {
      log.warn(
        { loop: name, id, why: messageOf(again) },
        'an item that never works could not be ended; it rests',
      );
    }
  }

  /** Those that do not rest. Who failed last comes last: items that hang spend the budget, and look like a store that is away. */
  #due(items: readonly T[], now: number): readonly T[] {
    const well: T[] = [];
    const again: T[] = [];
    for (const item of items) {
      const resting = this.#resting.get(this.#o.idOf(item));
      if (resting === undefined) well.push(item);
      else if (resting.until <= now) again.push(item);
    }
    return [...well, ...again];
  }

  #rest(id: string, resting: Resting): void {
    this.#resting.delete(id);
    this.#resting.set(id, resting);
    const oldest = this.#resting.keys().next().value;
    if (this.#resting.size > MOST_RESTING && oldest !== undefined) this.#resting.delete(oldest);
  }

  async #within<R>(work: Promise<R>): Promise<R> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new McpctlError('unavailable')), this.#o.actMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
