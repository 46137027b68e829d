export interface Turns {
  /** Waits for a free slot, in order. @returns the way to give it back; undefined when the signal aborted first. */
  take(signal: AbortSignal): Promise<(() => void) | undefined>;
}

/** So many at a time. The native queue is not used: what waits there cannot be cancelled. */
export function createTurns(slots: number): Turns {
  let free = slots;
  const waiting: (() => void)[] = [];
  const give = (): void => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return {
    take(signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (free > 0) {
        free -= 1;
        return Promise.resolve(give);
      }
      return new Promise((resolve) => {
        const mine = (): void => {
          signal.removeEventListener('abort', leave);
          resolve(give);
        };
        const leave = (): void => {
          waiting.splice(waiting.indexOf(mine), 1);
          resolve(undefined);
        };
        waiting.push(mine);
        signal.addEventListener('abort', leave, { once: true });
      });
    },
  };
}
