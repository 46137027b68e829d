import type { ServerSays } from '../../core/mcp/process/orders.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { Tail } from './tail.ts';

/** Who follows what is printed asks again so often. */
const FOLLOW_MS = 10_000;
/** More who follow at a time are answered at once. */
const MOST_FOLLOWING = 16;
/** What is printed at one go is shown at one go, so that no piece of a secret is before it is whole. */
const QUIET_MS = 200;
const TOGETHER_MS = 1_000;

/** Of a server whose process has never begun, or that is not asked what it prints. */
export const nothingPrinted: Pick<ServerSays, 'printed' | 'at' | 'isMissed'> = {
  printed: '',
  at: null,
  isMissed: false,
};

/** What the processes of one server print, one after the other: of the one that runs, or ran last. */
export class Printed {
  #tail: Tail | null = null;
  /** Aborts when another process is there, which prints anew. */
  #another = new AbortController();
  #following = 0;

  begun(tail: Tail): void {
    this.#tail = tail;
    this.#another.abort();
    this.#another = new AbortController();
  }

  get text(): string {
    return this.#tail?.text ?? '';
  }

  /** @param after null: all that is kept. */
  since(after: string | null): typeof nothingPrinted {
    return this.#tail?.since(after) ?? nothingPrinted;
  }

  /** Waits until there is something behind a place, and what is printed together is there; some seconds at most. Never throws. */
  async follow(after: string, over: AbortSignal): Promise<void> {
    if (this.#following >= MOST_FOLLOWING) return;
    this.#following += 1;
    try {
      const isOver = anySignal([over, this.#another.signal, AbortSignal.timeout(FOLLOW_MS)]);
      while (!isOver.aborted && !(this.#tail?.isBehind(after) ?? false))
        await (this.#tail?.more(isOver) ?? pause(FOLLOW_MS, isOver));
      const isEnough = anySignal([isOver, AbortSignal.timeout(TOGETHER_MS)]);
      for (let isQuiet = isEnough.aborted; !isQuiet;) {
        const quiet = anySignal([isEnough, AbortSignal.timeout(QUIET_MS)]);
        await this.#tail?.more(quiet);
        isQuiet = quiet.aborted;
      }
    } finally {
      this.#following -= 1;
    }
  }
}
