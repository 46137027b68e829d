/** How much is kept, by one measure of its size: of all users, and of one. */
interface Room {
  most: number;
  mostOfUser: number;
  /** Each counts as this, though there be nothing in it: it has a key, a place, and what is beside its texts. */
  least: number;
}
/** Of texts, in UTF-16 code units. */
export const roomForTexts: Room = { most: 16 * 1024 * 1024, mostOfUser: 4 * 1024 * 1024, least: 1_024 };
const KEPT_MS = 600_000;

interface Entry<T> {
  userId: string;
  value: T;
  size: number;
  at: number;
}

/**
 * What was read a moment ago, as it is likely to be asked for again: it is made anew otherwise. Whether somebody may read it is asked
 * each time, and not of this.
 */
export class Kept<T> {
  readonly #elapsed: () => number;
  readonly #room: Room;
  /** What was read last is at the end. */
  readonly #kept = new Map<string, Entry<T>>();

  constructor({ elapsed }: { elapsed: () => number }, room: Room) {
    this.#elapsed = elapsed;
    this.#room = room;
  }

  get(key: string): T | undefined {
    const kept = this.#kept.get(key);
    if (!kept || this.#elapsed() - kept.at > KEPT_MS) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.value;
  }

  /** Instead of what was kept under that key. What is more than one user's room is not kept. */
  keep(key: string, { userId, value, size }: Omit<Entry<T>, 'at'>): void {
    const { most, mostOfUser, least } = this.#room;
    this.#kept.delete(key);
    if (size > mostOfUser) return;
    this.#kept.set(key, { userId, value, size: Math.max(size, least), at: this.#elapsed() });
    this.#dropTo(mostOfUser, (kept) => kept.userId === userId);
    this.#dropTo(most, () => true);
  }

  #dropTo(most: number, isOf: (kept: Entry<T>) => boolean): void {
    const those = [...this.#kept].filter(([, kept]) => isOf(kept));
    let size = those.reduce((sum, [, kept]) => sum + kept.size, 0);
    for (const [key, kept] of those) {
      if (size <= most) return;
      this.#kept.delete(key);
      size -= kept.size;
    }
  }
}
