/**
 * Time and randomness, passed in, so that a test may hold them still. Instants of two machines are never
 * compared: leases use the database's or Redis's time (I11 of docs/reliability.md); this clock is for local spans only.
 */
export interface Clock {
  /** Milliseconds since 1970, of this machine: for showing and logging. */
  now(): number;
  /** Milliseconds that only grow: for measuring spans and waiting. */
  elapsed(): number;
  /** Uniform in [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  random: () => Math.random(),
};

/** Resolves after `ms`, or at once when `signal` aborts; never rejects, so look at the signal afterwards. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Resolves or rejects with `work`, or resolves after `ms`: then `work` goes on by itself, however it ends. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const isOver = new AbortController();
  await Promise.race([work.finally(() => isOver.abort()), pause(ms, isOver.signal)]);
}
