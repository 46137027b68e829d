/** What Ctrl-C does now. main calls `fire` on SIGINT; a chat takes it while an answer runs. */
export interface Interrupts {
  /** Aborts at the first Ctrl-C that nobody had taken. */
  signal: AbortSignal;
  /** While taken, Ctrl-C calls `handler` instead. @returns the way to let go. */
  take(handler: () => void): () => void;
  /** @returns `again` when the command was already asked to stop: leave at once. */
  fire(): 'taken' | 'asked' | 'again';
}

export function createInterrupts(): Interrupts {
  const asked = new AbortController();
  const takers: (() => void)[] = [];
  return {
    signal: asked.signal,
    take(handler) {
      takers.push(handler);
      return () => {
        const at = takers.lastIndexOf(handler);
        if (at >= 0) takers.splice(at, 1);
      };
    },
    fire() {
      const taker = takers.at(-1);
      if (taker) {
        taker();
        return 'taken';
      }
      if (asked.signal.aborted) return 'again';
      asked.abort();
      return 'asked';
    },
  };
}

/** Takes the next Ctrl-C for the signal and lets go at once: another, while what was stopped still ends, leaves the program. */
export function takeOnce(interrupts: Pick<Interrupts, 'take'>): { signal: AbortSignal; release: () => void } {
  const stop = new AbortController();
  const release = interrupts.take(() => {
    release();
    stop.abort();
  });
  return { signal: stop.signal, release };
}
