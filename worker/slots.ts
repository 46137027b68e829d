/** How many tasks a backend takes at once, counted once whatever llms and queues it serves (invariant I10). */
export interface Slots {
  readonly size: number;
  readonly taken: number;
  isFree(): boolean;
  /** Resolves with the way to give the slot back (it may be called twice); null when `signal` aborted first. */
  take(signal: AbortSignal): Promise<(() => void) | null>;
  /** Another number from now on; what is taken above it stays taken until it is given back. */
  resize(size: number): void;
}

export function createSlots(first: number): Slots {
  let size = first;
  let taken = 0;
  const waiting = new Set<() => void>();

  const serveNext = (): void => {
    if (taken < size) waiting.values().next().value?.();
  };
  const giveBack = (): void => {
    taken -= 1;
    serveNext();
  };
  const grant = (): (() => void) => {
    taken += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      giveBack();
    };
  };
  return {
    get size() {
      return size;
    },
    get taken() {
      return taken;
    },
    resize(to) {
      size = to;
      while (taken < size && waiting.size > 0) serveNext();
    },
    isFree: () => taken < size,
    take(signal) {
      if (signal.aborted) return Promise.resolve(null);
      if (taken < size) return Promise.resolve(grant());
      return new Promise((resolve) => {
        const stop = (): void => {
          waiting.delete(serve);
          resolve(null);
        };
        const serve = (): void => {
          waiting.delete(serve);
          signal.removeEventListener('abort', stop);
          resolve(grant());
        };
        waiting.add(serve);
        signal.addEventListener('abort', stop, { once: true });
      });
    },
  };
}
