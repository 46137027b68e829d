import type { Clock } from '../../core/runtime/clock.ts';

/** Who has asked for nothing lately may ask for this much at once. */
const BURST_MS = 500;
/** Who is refused hears so after this: a crowd that is told at once asks again at once. */
const REFUSED_MS = 1_000;
/** Nobody else has asked for so long: nobody is held up by who asks. */
const ALONE_MS = 5_000;
const MOST_ACCOUNTS = 10_000;
/** Who is looked at for one who has nothing to pay any more, when one too many is known. */
const LOOKED_AT = 16;
/** About so many of somebody's last calls tell whether theirs come to something. */
const LAST_CALLS = 32;

/** Whether a request may go on: after `waitMs`; or not at all, and it may come again after `retryAfterS`. */
export interface Turn {
  waitMs: number;
  retryAfterS?: number;
}

const atOnce: Turn = { waitMs: 0 };

/**
 * A rate, kept by time (the generic cell rate algorithm): a request costs some milliseconds, and there is a second's
 * worth in each second, with half of one saved. One that comes too early waits for its time, so that who is a little
 * too fast is slowed and not refused; refused is one who would wait for long, as only crowds do.
 */
class Account {
  readonly #clock: Clock;
  readonly #mostWaitMs: number;
  #paidUntil = 0;
  /** Which share of the last calls came to nothing. */
  #vain = 0;

  constructor(clock: Clock, mostWaitMs: number) {
    this.#clock = clock;
    this.#mostWaitMs = mostWaitMs;
  }

  /** Takes the time for a request, unless it is refused. @param isAlone it holds nobody up: it goes on, and owes nothing after it. */
  take(costMs: number, isAlone = false): Turn {
    const now = this.#clock.elapsed();
    const until = Math.max(this.#paidUntil, now - BURST_MS) + costMs;
    if (isAlone) {
      this.#paidUntil = Math.min(until, now);
      return atOnce;
    }
    const waitMs = until - now;
    if (waitMs > this.#mostWaitMs)
      return { waitMs: REFUSED_MS, retryAfterS: Math.ceil((waitMs - this.#mostWaitMs) / 1_000) };
    this.#paidUntil = until;
    return waitMs > 0 ? { waitMs } : atOnce;
  }

  /** How a call ended. @param vain it was refused, or left at once. */
  ended(vain: boolean): void {
    this.#vain += ((vain ? 1 : 0) - this.#vain) / LAST_CALLS;
  }

  /** Most of its last calls came to nothing. */
  get isVain(): boolean {
    return this.#vain > 0.5;
  }

  /** It owes nothing any more. */
  isIdle(): boolean {
    return this.#paidUntil <= this.#clock.elapsed() - BURST_MS;
  }
}

/** A rate for each of many, whoever they are. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #mostWaitMs: number;
  /** Those that were known first come first. */
  readonly #accounts = new Map<string, Account>();
  /** Who asked last, and when; and when somebody else did before. By the clock's `elapsed()`. */
  #last: string | undefined;
  #lastAt = -Infinity;
  #otherAt = -Infinity;

  /** @param mostWaitMs how long one that comes too early may have to wait for its time; beyond that it is refused. */
  constructor(clock: Clock, mostWaitMs: number) {
    this.#clock = clock;
    this.#mostWaitMs = mostWaitMs;
  }

  /** Whether nobody but who asked last has asked for a while. */
  get isAlone(): boolean {
    return this.#clock.elapsed() - this.#otherAt > ALONE_MS;
  }

  /** The account of one who asks. */
  of(owner: string): Account {
    if (owner !== this.#last) [this.#last, this.#otherAt] = [owner, this.#lastAt];
    this.#lastAt = this.#clock.elapsed();
    const existing = this.#accounts.get(owner);
    if (existing) return existing;
    this.#makeRoom();
    const account = new Account(this.#clock, this.#mostWaitMs);
    this.#accounts.set(owner, account);
    return account;
  }

  /** Whoever owes nothing need not be known; where nobody is found, who was known first is forgiven. */
  #makeRoom(): void {
    if (this.#accounts.size < MOST_ACCOUNTS) return;
    const [first] = this.#accounts.keys();
    let looked = 0;
    for (const [owner, account] of this.#accounts) {
      if (account.isIdle()) this.#accounts.delete(owner);
      looked += 1;
      if (looked >= LOOKED_AT) break;
    }
    if (this.#accounts.size >= MOST_ACCOUNTS && first !== undefined) this.#accounts.delete(first);
  }
}
