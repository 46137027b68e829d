/** Whether a member takes tasks now; who waits for it learns when it does. */
export class Switch {
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
