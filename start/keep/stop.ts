import type { Clock } from '../../core/runtime/clock.ts';

export interface StopDeps {
  clock: Clock;
  /** A second signal: leave at once. */
  force: () => void;
}

/** A terminal's Ctrl-C arrives once from the terminal and again from npm, which passes it on. */
const SAME_MS = 1_000;
const PARENT_MS = 250;

/**
 * Aborts, with the reason in words, when a person or the system wants us to stop: a signal, nobody left to
 * read what we print, or a parent that is gone. Only a `main.ts` calls this.
 */
export function watchForStop({ clock, force }: StopDeps): AbortSignal {
  const stop = new AbortController();
  let askedAt: number | undefined;
  const ask = (why: string): void => {
    askedAt ??= clock.elapsed();
    stop.abort(why);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (askedAt !== undefined && clock.elapsed() - askedAt > SAME_MS) force();
      else ask(signal === 'SIGINT' ? 'Ctrl-C' : signal);
    });
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => ask('nobody reads this any more'));
  }
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) ask('the process that started this is gone');
  }, PARENT_MS).unref();
  return stop.signal;
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
