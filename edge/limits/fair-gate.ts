import { McpctlError } from '../../core/errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { SharedRoom } from './shared-room.ts';

export interface GateLimits {
  /** How many may be inside at a time, of one owner and in all. */
  ofOne: number;
  inAll: number;
  /** What they may have at all edges together, of which each has a part here; `ofOne` alone unless told. */
  room?: Pick<SharedRoom, 'may' | 'want' | 'whenRoom'>;
  /** How long one may wait to be let in. */
  withinMs: number;
  /** How many of one owner may wait; any number unless told. */
  mostWaiting?: number;
  /** How long an owner's place stays taken for that owner, others may have it, after so long inside; at once if not told. */
  restMs?: (insideMs: number) => number;
  /** What the metric of refusals calls it, and what somebody who waited for too long is told. */
  cap: string;
  message: string;
}

interface Waiting {
  letIn: () => void;
}

const RETRY_AFTER_S = 5;

/**
 * For work that is worth waiting for: a few at a time, fewer of one owner. Who waits is let in by rotation of owners, so
 * one owner's crowd waits for itself.
 */
export class FairGate {
  readonly #limits: GateLimits;
  readonly #metrics: Pick<Metrics, 'refused'>;
  readonly #inside = new Map<string, number>();
  /** Who was inside just now, and takes a rest. */
  readonly #resting = new Map<string, number>();
  readonly #waiting = new Map<string, Set<Waiting>>();
  #count = 0;
  /** Somebody left, and who is next is let in when this turn of the loop is over. */
  #isFreed = false;

  constructor(limits: GateLimits, metrics: Pick<Metrics, 'refused'>) {
    this.#limits = limits;
    this.#metrics = metrics;
    limits.room?.whenRoom(() => this.#letInLater());
  }

  /**
   * @param gone aborts when nobody wants in any more.
   * @returns the way out; twice is once.
   * @throws McpctlError `too_many_requests` after the time, or when nobody wants in any more.
   */
  async enter(owner: string, gone?: AbortSignal): Promise<() => void> {
    // Its work would be done for nobody, and beside that of who is inside.
    if (gone?.aborted) throw this.#refusal();
    if (this.#isFreed || !this.#hasRoom(owner)) await this.#wait(owner, gone);
    else this.#add(owner, 1);
    const began = performance.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#add(owner, -1);
      this.#rest(owner, this.#limits.restMs?.(performance.now() - began) ?? 0);
      this.#letInLater();
    };
  }

  /**
   * Connections that close together are told so one by one: let in at once, each of those that wait would begin its work
   * before it heard that its reader has gone, too.
   */
  #letInLater(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    setImmediate(() => {
      this.#isFreed = false;
      while (this.#letIn());
    });
  }

  #rest(owner: string, ms: number): void {
    if (ms < 1) return;
    add(this.#resting, owner, 1);
    setTimeout(() => {
      add(this.#resting, owner, -1);
      this.#letInLater();
    }, ms).unref();
  }

  #wait(owner: string, gone: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const ofOwner = this.#waiting.get(owner) ?? new Set();
      if (ofOwner.size >= (this.#limits.mostWaiting ?? Infinity)) {
        this.#metrics.refused(this.#limits.cap);
        return void reject(this.#refusal());
      }
      this.#waiting.set(owner, ofOwner);
      const end = (): void => {
        clearTimeout(timer);
        gone?.removeEventListener('abort', refuse);
        ofOwner.delete(waiting);
        if (ofOwner.size === 0 && this.#waiting.get(owner) === ofOwner) this.#waiting.delete(owner);
      };
      const refuse = (): void => {
        end();
        this.#want(owner);
        if (gone?.aborted !== true) this.#metrics.refused(this.#limits.cap);
        reject(this.#refusal());
      };
      const waiting: Waiting = {
        letIn: () => {
          end();
          this.#add(owner, 1);
          resolve();
        },
      };
      const timer = setTimeout(refuse, this.#limits.withinMs);
      ofOwner.add(waiting);
      this.#want(owner);
      if (gone?.aborted) refuse();
      else gone?.addEventListener('abort', refuse, { once: true });
    });
  }

  /** @returns whether there was somebody to let in. */
  #letIn(): boolean {
    for (const [owner, ofOwner] of this.#waiting) {
      if (!this.#hasRoom(owner)) continue;
      const [next] = ofOwner;
      next?.letIn();
      if (ofOwner.size > 0) {
        this.#waiting.delete(owner); // to the end of the line
        this.#waiting.set(owner, ofOwner);
      }
      return true;
    }
    return false;
  }

  #refusal(): McpctlError {
    return new McpctlError('too_many_requests', this.#limits.message, { retryAfterS: RETRY_AFTER_S });
  }

  #hasRoom(owner: string): boolean {
    const taken = (this.#inside.get(owner) ?? 0) + (this.#resting.get(owner) ?? 0);
    const most = Math.min(this.#limits.ofOne, this.#limits.room?.may(owner) ?? Infinity);
    return this.#count < this.#limits.inAll && taken < most;
  }

  #want(owner: string): void {
    const has = this.#inside.get(owner) ?? 0;
    const waiting = this.#waiting.get(owner)?.size ?? 0;
    this.#limits.room?.want(owner, { has, wants: has + waiting });
  }

  #add(owner: string, n: number): void {
    this.#count += n;
    add(this.#inside, owner, n);
    this.#want(owner);
  }
}

function add(counts: Map<string, number>, owner: string, n: number): void {
  const count = (counts.get(owner) ?? 0) + n;
  if (count > 0) counts.set(owner, count);
  else counts.delete(owner);
}
