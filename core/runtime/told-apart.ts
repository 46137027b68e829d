import type { Clock } from './clock.ts';

/**
 * Names that a label of a metric tells apart. Each costs series for as long as the process lives, and names come from
 * people: so at most `most` of them, the rest are `other`. One that was not heard for `idleMs` gives its place up.
 */
export interface ToldApart {
  /** @returns the name, or `other`. */
  label(name: string): string;
}

export function tellApart({
  most,
  idleMs,
  clock,
  forget,
}: {
  most: number;
  idleMs: number;
  clock: Clock;
  /** A name gave its place up: its series can go. */
  forget: (name: string) => void;
}): ToldApart {
  /** By when they were heard last, the longest ago first. */
  const heard = new Map<string, number>();
  return {
    label(name) {
      const now = clock.elapsed();
      if (!heard.delete(name) && heard.size >= most) {
        const [oldest, at] = heard.entries().next().value ?? ['', now];
        if (now - at < idleMs) return 'other';
        heard.delete(oldest);
        forget(oldest);
      }
      heard.set(name, now);
      return name;
    },
  };
}
