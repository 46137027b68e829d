import { mcpProgressSchema } from '../../../core/mcp/call.ts';

/** So many at once, then one each `EVERY_MS`; what is told more often is left out, as the next one says more. */
const BURST = 50;
const EVERY_MS = 50;
/** Not taken yet: Redis, or the way to an edge, is slower than the server. */
const MOST_QUEUED = 256;

/** What a server tells of one call while it runs, as events of its task, in order, until it is over. */
export class Progress implements AsyncIterable<string> {
  readonly #now: () => number;
  readonly #queued: string[] = [];
  #left = BURST;
  #countedAt: number;
  #over = false;
  #wake: () => void = () => undefined;

  /** @param now in milliseconds, of a clock that only goes on. */
  constructor(now: () => number) {
    this.#now = now;
    this.#countedAt = now();
  }

  /** @param params of `notifications/progress`. What is in no form that is known is passed over. */
  tell(params: unknown, blank: (text: string) => string): void {
    const event = mcpProgressSchema.safeParse({ progress: params });
    if (!event.success || this.#over || this.#queued.length >= MOST_QUEUED || !this.#mayTell()) return;
    this.#queued.push(blank(JSON.stringify(event.data)));
    this.#wake();
  }

  end(): void {
    this.#over = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (;;) {
      const event = this.#queued.shift();
      if (event !== undefined) yield event;
      else if (this.#over) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #mayTell(): boolean {
    const now = this.#now();
    const more = Math.floor((now - this.#countedAt) / EVERY_MS);
    this.#left = Math.min(BURST, this.#left + more);
    this.#countedAt += more * EVERY_MS;
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
