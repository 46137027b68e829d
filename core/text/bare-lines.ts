import { jsonValue } from './json-text.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);

/** Whether what a JSON text has opened is closed, told from its pieces as they come, without keeping them. */
export class Brackets {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #hasOpened = false;
  #isOdd = false;

  add(piece: string): void {
    for (let at = 0; at < piece.length; at++) {
      const c = piece.charCodeAt(at);
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isInString) {
        if (c === BACKSLASH) this.#isEscaped = true;
        else if (c === QUOTE) this.#isInString = false;
      } else if (c === QUOTE) this.#isInString = true;
      else if (opening.has(c)) {
        this.#depth += 1;
        this.#hasOpened = true;
      } else if (closing.has(c)) {
        this.#depth -= 1;
        this.#isOdd ||= this.#depth < 0;
      }
    }
  }

  get isOpen(): boolean {
    return this.#depth > 0 || this.#isInString;
  }

  /** It has opened something, and closed all of it. */
  get isWhole(): boolean {
    return this.#hasOpened && !this.#isOdd && !this.isOpen;
  }
}

/** What is longer than this, over several lines, is no error that somebody has written for others to read. */
const MOST_CHARS = 64 * 1_024;

/** An object, a list of such; or the mark of the end, which some write without its `data:` too. */
const begins = /^\s*(?:\{|\[\s*(?:\{|$|DONE\]))/;

/**
 * The lines of an event stream that are no field of it. What fails behind a gateway is often put there as it is: as JSON
 * on one line, or written over several; and where only its first line was given a `data:`, the others are here.
 */
export class BareLines {
  #lines: string[] = [];
  #chars = 0;
  /** Of a JSON text whose first line stands here too. */
  #brackets: Brackets | undefined;

  get isEmpty(): boolean {
    return this.#lines.length === 0;
  }

  /** @returns a JSON text that is whole with this line. */
  add(line: string): string | undefined {
    if (this.isEmpty) {
      this.#brackets = begins.test(line) ? new Brackets() : undefined;
      this.#chars = 0;
    }
    this.#brackets?.add(line);
    if (this.#brackets?.isOpen === false) return this.#take(line);
    this.#chars += line.length;
    if (this.#chars <= MOST_CHARS) this.#lines.push(line);
    return undefined;
  }

  /**
   * An event has ended, or the stream. @param data of that event.
   * @returns the events there are now: one that had begun here is one too, though its end is missing, and so is any text
   * at the end of all (`upstream connect error`).
   */
  around(data?: string): string[] {
    if (this.isEmpty) return data === undefined ? [] : [data];
    const isBegun = this.#brackets !== undefined;
    const rest = this.#take();
    if (data === undefined) return [rest]; // what stands behind all that came says why it ended
    if (isBegun) return [rest, data];
    const all = `${data}\n${rest}`;
    return [jsonValue(data) === undefined && jsonValue(all) !== undefined ? all : data];
  }

  #take(...last: string[]): string {
    const text = [...this.#lines, ...last].join('\n');
    this.#lines = [];
    this.#brackets = undefined;
    return text;
  }
}
