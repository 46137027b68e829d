import type { HandBack } from '../../core/task/hand-back.ts';
import type { Outcome } from '../../core/task/outcome.ts';

/**
 * How one claim speaks: over Redis (transports/redis-claim.ts) or over one HTTP request to the edge
 * (transports/sse/answer.ts). Whoever makes one also tells the run when the claim is lost.
 */
export interface ClaimPort {
  /** Events sent so far. */
  readonly count: number;
  /**
   * Says that the claim still runs; asked each second. @returns false when it is no longer current.
   * @param aheadMs for how long no other may come: this process is busy with something large.
   */
  beat(aheadMs?: number): Promise<boolean>;
  /** Sends the texts of some events, each numbered in order; resolves when there is room for more. */
  emit(events: readonly string[]): Promise<void>;
  /** Pins the claim: from here on nobody else is given the task. @returns false when it was lost meanwhile. */
  deliver(): Promise<boolean>;
  /** Sends what is queued, then the last word. @returns false when the claim was lost meanwhile. */
  end(outcome: Outcome): Promise<boolean>;
  /** Lets go of the task, if nobody has seen anything of it. @returns `shown` when it must be ended instead. */
  handBack(why: HandBack): Promise<'ok' | 'lost' | 'shown'>;
}
