import type { Redis } from 'ioredis';
import { onOneLine } from '../../text/json-text.ts';
import type { Outcome } from '../../task/outcome.ts';
import { isLarge, msFor } from '../../runtime/time-of-bytes.ts';
import { beat, endClaim, type ClaimRef } from './claim.ts';
import type { Keys } from '../keys.ts';
import { runScript } from '../scripts.ts';

export interface EmitterDeps {
  redis: Redis;
  keys: Keys;
  claim: ClaimRef;
  eventBytes: number;
  eventKeepMs: number;
  /** The number of the first event that comes, when an earlier sender had said others; 1 unless told. */
  first?: number;
  /** Called once, when an answer says that the claim is no longer current. */
  onLost: () => void;
}

/** Characters; a message that is larger than 64 KiB is not sent along on the channel (emit.lua). */
const MOST_TOGETHER = 256;
const TEXT_TOGETHER = 28 * 1024;
/** Beyond this the backend is read no faster than Redis takes it. */
const MOST_QUEUED = 512;
const BYTES_QUEUED = 4 * 1024 * 1024;

/**
 * Speaks for one claim: numbers its events and appends them to the task's stream. The first event travels at
 * once, later ones together only while an earlier send is in flight: then they are one entry of the stream, in which
 * each keeps its own number.
 */
export class Emitter {
  readonly #deps: EmitterDeps;
  readonly #task: { fence: string; stream: string; input: string; channel: string };
  readonly #queued: string[] = [];
  #queuedBytes = 0;
  #next: number;
  #sending: Promise<void> | null = null;
  #lost = false;
  /** Who waits for room. */
  #waiting: (() => void)[] = [];
  #broken: Error | null = null;

  constructor(deps: EmitterDeps) {
    this.#deps = deps;
    this.#next = deps.first ?? 1;
    this.#task = deps.keys.pool(deps.claim.poolKey).task(deps.claim.taskId);
  }

  /** Events sent so far. */
  get count(): number {
    return this.#next - 1;
  }

  /** As `emitAll`. */
  async emit(event: string): Promise<void> {
    await this.emitAll([event]);
  }

  /** Queues events; resolves when there is room for more. @throws when Redis refused an earlier one. */
  async emitAll(events: readonly string[]): Promise<void> {
    if (this.#lost) return;
    for (const event of events) {
      const text = onOneLine(event);
      this.#queued.push(text);
      this.#queuedBytes += text.length;
    }
    this.#kick();
    if (!this.#isFull(1)) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#broken) throw this.#broken;
  }

  /**
   * Sends what is queued, then the outcome. @returns false when the claim was lost meanwhile.
   * @param beside gives the command that goes out right behind it, in the same write.
   */
  async end(outcome: Outcome, beside?: () => void): Promise<boolean> {
    await this.flush();
    if (this.#lost) return false;
    const events = outcome.kind === 'completed' ? this.count : undefined;
    const bytes = 'body' in outcome ? (outcome.body?.length ?? 0) : 0;
    this.#sayAhead(bytes);
    const ending = endClaim(this.#deps, { ...this.#deps.claim, events }, outcome);
    // What is large goes over a connection of its own: there is nothing to be behind.
    if (!isLarge(bytes)) beside?.();
    return await ending;
  }

  /** Resolves when everything that was queued has been said. @throws as `emit`. */
  async flush(): Promise<void> {
    while (this.#sending) await this.#sending;
    if (this.#broken) throw this.#broken;
  }

  /** Over a slow line what is large holds up the beats behind it. What this one answers, the large one does too. */
  #sayAhead(bytes: number): void {
    const aheadMs = msFor(bytes);
    if (aheadMs > 0) beat(this.#deps, this.#deps.claim, aheadMs).catch(() => undefined);
  }

  #kick(): void {
    this.#sending ??= this.#send()
      .catch((thrown: unknown) => {
        this.#broken = thrown instanceof Error ? thrown : new Error(String(thrown));
      })
      .finally(() => {
        this.#sending = null;
        this.#makeRoom();
        if (this.#queued.length > 0 && !this.#lost && !this.#broken) this.#kick();
      });
  }

  async #send(): Promise<void> {
    const { redis, claim, eventKeepMs, eventBytes, onLost } = this.#deps;
    while (this.#queued.length > 0 && !this.#lost) {
      const events = this.#batch();
      // While the rest is on its way more can be read.
      if (!this.#isFull(0.5)) this.#makeRoom();
      const first = this.#next;
      this.#next += events.length;
      const text = events.join('\n');
      this.#sayAhead(text.length);
      const answer = await runScript(redis, 'emit', {
        keys: [this.#task.fence, this.#task.stream],
        args: [claim.claimId, first, eventKeepMs, eventBytes, this.#task.channel, events.length, text],
      });
      if (answer !== 1) {
        this.#lost = true;
        onLost();
      }
    }
  }

  #isFull(share: number): boolean {
    return this.#queued.length >= share * MOST_QUEUED || this.#queuedBytes >= share * BYTES_QUEUED;
  }

  #makeRoom(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #batch(): string[] {
    let bytes = 0;
    let n = 0;
    while (n < this.#queued.length && n < MOST_TOGETHER && bytes < TEXT_TOGETHER) {
      bytes += this.#queued[n++]?.length ?? 0;
    }
    this.#queuedBytes -= bytes;
    return this.#queued.splice(0, n);
  }
}
