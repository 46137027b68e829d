/** Something that may be open, and is waited for. */
export interface Openable {
  isOpen(): boolean;
  /** Resolves when it is open, or `signal` aborts. */
  untilOpen(signal: AbortSignal): Promise<void>;
}

/** Open while both are. */
export function bothOpen(one: Openable, other: Openable): Openable {
  const isOpen = (): boolean => one.isOpen() && other.isOpen();
  return {
    isOpen,
    async untilOpen(signal) {
      while (!signal.aborted && !isOpen()) {
        await one.untilOpen(signal);
        await other.untilOpen(signal);
      }
    },
  };
}

/** Whether a member takes tasks now; who waits for it learns when it does. */
export class Switch implements Openable {
  #open: boolean;
  readonly #waiting = new Set<() => void>();

  constructor(open = false) {
    this.#open = open;
  }

  isOpen(): boolean {
    return this.#open;
  }

  set(open: boolean): void {
    this.#open = open;
    if (open) for (const resolve of [...this.#waiting]) resolve();
  }

  /** Resolves when it is open, or `signal` aborts. */
  untilOpen(signal: AbortSignal): Promise<void> {
    if (this.#open || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
