import { randomBytes } from 'node:crypto';
import { StringDecoder } from 'node:string_decoder';

export interface PrintedSince {
  printed: string;
  /** Where it ends. */
  at: string;
  /** There was more, which is kept no more. */
  isMissed: boolean;
}

/** The last of what a process printed, in a bounded piece of memory, and shown without its secrets. */
export class Tail {
  /** Places of another are none of this one. */
  readonly #id = randomBytes(4).toString('hex');
  readonly #most: number;
  readonly #blank: (text: string) => string;
  /** A form of a secret is no longer than this. */
  readonly #longest: number;
  readonly #decoder = new StringDecoder('utf8');
  #text = '';
  #isCut = false;
  /** Characters before the text, which are kept no more. */
  #gone = 0;
  readonly #waiting = new Set<() => void>();

  constructor(how: { most: number; blank: (text: string) => string; longest: number }) {
    this.#most = how.most;
    this.#blank = how.blank;
    this.#longest = how.longest;
  }

  push(piece: Buffer): void {
    const text = this.#text + this.#decoder.write(piece);
    this.#isCut ||= text.length > this.#most;
    const over = Math.max(0, text.length - this.#most);
    this.#gone += over;
    this.#text = text.slice(over);
    for (const wake of this.#waiting) wake();
  }

  /** From the beginning of a line; of a secret that was cut in two nothing is left. */
  get text(): string {
    return this.#shown(this.#text.length);
  }

  /**
   * What was printed behind a place, in whole lines: with the next one comes the rest of a line.
   * @param place null: all that is kept, the beginning of a line too.
   */
  since(place: string | null): PrintedSince {
    const end = this.#wholeLines;
    const at = `${this.#id}.${String(this.#gone + end)}`;
    if (place === null) return { printed: this.text, at, isMissed: false };
    const from = this.#behind(place);
    if (from === null) return { printed: this.#shown(end), at, isMissed: false };
    if (from >= end) return { printed: '', at, isMissed: false };
    // So near to where it is cut it may begin within a secret of several lines, of which nothing is left to know it by.
    if (from < 0 || (this.#isCut && from < this.#longest))
      return { printed: this.#shown(end), at, isMissed: true };
    // What was shown of the text before it, which may have become a piece of a secret, is where this begins.
    const [before, all] = [this.#blank(this.#text.slice(0, from)), this.#blank(this.#text.slice(0, end))];
    if (all.startsWith(before)) return { printed: all.slice(before.length), at, isMissed: false };
    let common = 0;
    while (before[common] === all[common]) common += 1;
    return { printed: all.slice(all.indexOf('\n', common) + 1), at, isMissed: false };
  }

  /** Whether there are whole lines behind a place. */
  isBehind(place: string): boolean {
    const from = this.#behind(place);
    return from === null || from < this.#wholeLines;
  }

  /** Resolves when something is printed, or when `signal` aborts. */
  more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#waiting.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      if (signal.aborted) return void resolve();
      this.#waiting.add(end);
      signal.addEventListener('abort', end, { once: true });
    });
  }

  /** Where the last line ends that is whole; one that is longer than all that is kept counts as far as it goes. */
  get #wholeLines(): number {
    const end = this.#text.lastIndexOf('\n') + 1;
    return end === 0 && this.#text.length >= this.#most ? this.#text.length : end;
  }

  /** @returns where in the text a place is, less than 0 where that is gone; null: it is none of this process. */
  #behind(place: string): number | null {
    const [id, chars] = place.split('.', 2);
    return id === this.#id ? Number(chars) - this.#gone : null;
  }

  #shown(end: number): string {
    const blanked = this.#blank(this.#text.slice(0, end));
    if (!this.#isCut) return blanked;
    const rest = blanked.slice(this.#longest);
    return rest.slice(rest.indexOf('\n') + 1);
  }
}
