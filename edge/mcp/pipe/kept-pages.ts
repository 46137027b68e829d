/** Of all users, and of one, in UTF-16 code units. */
const MOST = 16 * 1024 * 1024;
const MOST_OF_USER = 4 * 1024 * 1024;
const KEPT_MS = 600_000;

interface Kept {
  userId: string;
  pages: readonly string[];
  size: number;
  at: number;
}

/**
 * Pages that were read a moment ago, as the next ones are likely to be: each is made from the whole result otherwise. Whether somebody
 * may read them is asked each time, and not of this.
 */
export class KeptPages {
  readonly #elapsed: () => number;
  /** Those that were read last are at the end. */
  readonly #kept = new Map<string, Kept>();

  constructor({ elapsed }: { elapsed: () => number }) {
    this.#elapsed = elapsed;
  }

  get(result: string): readonly string[] | undefined {
    const kept = this.#kept.get(result);
    if (!kept || this.#elapsed() - kept.at > KEPT_MS) return undefined;
    this.#kept.delete(result);
    this.#kept.set(result, kept);
    return kept.pages;
  }

  keep(result: string, { userId, pages }: Pick<Kept, 'userId' | 'pages'>): void {
    const size = pages.reduce((sum, page) => sum + page.length, 0);
    this.#kept.delete(result);
    if (size > MOST_OF_USER) return;
    this.#kept.set(result, { userId, pages, size, at: this.#elapsed() });
    this.#dropTo(MOST_OF_USER, (kept) => kept.userId === userId);
    this.#dropTo(MOST, () => true);
  }

  #dropTo(most: number, isOf: (kept: Kept) => boolean): void {
    const those = [...this.#kept].filter(([, kept]) => isOf(kept));
    let size = those.reduce((sum, [, kept]) => sum + kept.size, 0);
    for (const [result, kept] of those) {
      if (size <= most) return;
      this.#kept.delete(result);
      size -= kept.size;
    }
  }
}
