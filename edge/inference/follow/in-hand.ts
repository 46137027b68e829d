import { Assembly, type Assembled } from '../../../core/agent/assemble.ts';
import { isSameAttempt, type Attempt } from '../../../core/queue/task/attempt.ts';
import { firstSeq, type Entry } from '../../../core/queue/task/stream.ts';

/**
 * What an edge that waits with a caller has seen of a turn's answer: it stands here when Redis has lost it. An attempt that it
 * has not seen from its first event to its last is read from the stream instead.
 */
export class InHand {
  readonly #taskId: string;
  #attempt: (Attempt & { seq: number }) | null = null;
  #assembly: Assembly;

  constructor(taskId: string) {
    this.#taskId = taskId;
    this.#assembly = new Assembly(taskId);
  }

  saw(entry: Entry): void {
    if (entry.kind !== 'events') return;
    const first = firstSeq(entry);
    if (!this.#attempt || !isSameAttempt(this.#attempt, entry)) {
      this.#assembly = new Assembly(this.#taskId);
      this.#attempt = { epoch: entry.epoch, tag: entry.tag, seq: 0 };
    }
    // With a gap it is not whole, and stays so.
    if (first !== this.#attempt.seq + 1) this.#attempt.seq = NaN;
    else this.#attempt.seq = entry.seq;
    for (const event of entry.data) this.#assembly.add(event);
  }

  /** Of the attempt that ends with an event of this number; null: not all of it was seen. */
  upTo(end: Attempt & { seq: number }): Assembled | null {
    if (!this.#attempt) return end.seq === 1 ? this.#assembly.answer() : null;
    const isAll = isSameAttempt(this.#attempt, end) && this.#attempt.seq + 1 === end.seq;
    return isAll ? this.#assembly.answer() : null;
  }

  /** Nothing of it was shown to its reader before this. */
  get isFromBeginning(): boolean {
    return this.#attempt !== null && !Number.isNaN(this.#attempt.seq);
  }

  /** As much as was seen. */
  sofar(): Assembled {
    return this.#assembly.answer();
  }
}
