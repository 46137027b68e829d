import type { Clock } from './clock.ts';

/**
 * Names that a label of a metric tells apart. Each costs series for as long as the process lives, and names come from
 * people: so at most `most` of them, the rest are `other`. One that was not heard for `idleMs` gives its place up, and
 * so does the oldest of whoever has the most, for somebody who has fewer: nobody takes all the places.
 */
export interface ToldApart {
  /** @param by who named it. @returns the name, or `other`. */
  label(name: string, by?: string): string;
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
  const heard = new Map<string, { at: number; by: string }>();
  const counts = new Map<string, number>();
  const count = (by: string, n: number): void => {
    const now = (counts.get(by) ?? 0) + n;
    if (now > 0) counts.set(by, now);
    else counts.delete(by);
  };
  /** Who is to make room; undefined: nobody has to. */
  const leaving = (by: string, now: number): string | undefined => {
    const [oldest] = heard;
    if (oldest && now - oldest[1].at >= idleMs) return oldest[0];
    const [richest, has] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (has <= (counts.get(by) ?? 0) + 1) return undefined;
    return [...heard].find(([, one]) => one.by === richest)?.[0];
  };
  return {
    label(name, by = '') {
      const now = clock.elapsed();
      const entry = heard.get(name);
      if (!entry && heard.size >= most) {
        const leaves = leaving(by, now);
        if (leaves === undefined) return 'other';
        count(heard.get(leaves)?.by ?? '', -1);
        heard.delete(leaves);
        forget(leaves);
      }
      heard.delete(name);
      heard.set(name, { at: now, by: entry?.by ?? by });
      if (!entry) count(by, 1);
      return name;
    },
  };
}

/** The first `most` of some things, owners taking turns: nobody's many push out another's few. */
export function inTurns<T>(things: readonly T[], ownerOf: (thing: T) => string, most: number): T[] {
  const ofOwners = new Map<string, T[]>();
  for (const thing of things) {
    const ofOwner = ofOwners.get(ownerOf(thing));
    if (ofOwner) ofOwner.push(thing);
    else ofOwners.set(ownerOf(thing), [thing]);
  }
  const taken: T[] = [];
  const wanted = Math.min(most, things.length);
  for (let round = 0; taken.length < wanted; round++)
    for (const ofOwner of ofOwners.values()) taken.push(...ofOwner.slice(round, round + 1));
  return taken.slice(0, wanted);
}
