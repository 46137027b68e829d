import type { Clock } from '../../core/runtime/clock.ts';

const MINUTE_MS = 60_000;
const MOST_ADDRESSES = 10_000;

/**
 * Who tries tokens that are none: each address has so many tries a minute. A try is taken before a token is looked up
 * and given back when it was good, so that many at once are counted too.
 */
export class FailedTokens {
  readonly #clock: Clock;
  readonly #most: number;
  /** Of addresses that failed lately, in the order of their last try. */
  readonly #addresses = new Map<string, { left: number; at: number }>();

  constructor({ clock, most }: { clock: Clock; most: number }) {
    this.#clock = clock;
    this.#most = most;
  }

  /** @returns 0 when the address may try; else after how many seconds. */
  take(address: string): number {
    const now = this.#clock.elapsed();
    const allowance = this.#addresses.get(address);
    const perMs = this.#most / MINUTE_MS;
    const left = allowance ? Math.min(this.#most, allowance.left + (now - allowance.at) * perMs) : this.#most;
    if (left < 1) return Math.max(1, Math.ceil((1 - left) / perMs / 1_000));
    this.#keep(address, { left: left - 1, at: now });
    return 0;
  }

  /** It was a token after all. */
  giveBack(address: string): void {
    const allowance = this.#addresses.get(address);
    if (!allowance) return;
    if (allowance.left + 1 >= this.#most) this.#addresses.delete(address);
    else allowance.left += 1;
  }

  #keep(address: string, tries: { left: number; at: number }): void {
    this.#addresses.delete(address);
    this.#addresses.set(address, tries);
    if (this.#addresses.size <= MOST_ADDRESSES) return;
    const [oldest] = this.#addresses.keys();
    if (oldest !== undefined) this.#addresses.delete(oldest);
  }
}
