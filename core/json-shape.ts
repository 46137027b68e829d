import { stringEnd, type Member } from './json-text.ts';

/** What one look at a JSON text tells of it, before any of it is parsed. */
export interface JsonShape {
  /** At most how many values it holds, keys not counted: what parsing it would cost, besides its length. */
  values: number;
  /** How deep arrays and objects are nested. */
  depth: number;
  /** The members of the object that it is, the first thousand; undefined when it is no object, or not whole. */
  members: ShapedMember[] | undefined;
}

export interface ShapedMember extends Member {
  values: number;
}

/** How much is looked at before others have their turn: some milliseconds. Characters of strings are skipped quickly. */
const SLICE = 250_000;
const STRING_SHARE = 32;
const MOST_MEMBERS = 1_000;

/**
 * Looks over a text once, from its beginning to its end, and lets others have their turn in between: however large it
 * is, and whatever it holds, nobody waits for more than a slice of it.
 */
export async function shapeOf(text: string): Promise<JsonShape> {
  const scan = new JsonScan(text);
  while (!scan.look(SLICE)) await new Promise((resolve) => setImmediate(resolve));
  return scan.shape();
}

/** Hands a text over piece by piece, with turns for others in between; no letter is torn. */
export async function inSlices(text: string, take: (slice: string) => void): Promise<void> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + SLICE, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end += 1;
    take(text.slice(at, end));
    at = end;
    if (at < text.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const isSpace = (c: number): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;

class JsonScan {
  readonly #text: string;
  readonly #members: ShapedMember[] = [];
  #at = 0;
  #depth = 0;
  #deepest = 0;
  #values = 1;
  #isObject = false;
  /** The first of the top-level object's own characters that is out of place, or its end. */
  #isWhole = true;
  /** The key at the top level whose value is looked at; its quotes' places. */
  #key: { start: number; end: number } | undefined;
  /** Where its value begins, and how many values there were before. */
  #value: { start: number; before: number } | undefined;

  constructor(text: string) {
    this.#text = text;
    let first = 0;
    while (first < text.length && isSpace(text.charCodeAt(first))) first += 1;
    this.#isObject = text.charCodeAt(first) === OPEN_OBJECT;
  }

  /** @returns whether it is at the end. */
  look(budget: number): boolean {
    const text = this.#text;
    let left = budget;
    while (this.#at < text.length) {
      if ((left -= 1) < 0) return false;
      const at = this.#at;
      const c = text.charCodeAt(at);
      this.#at += 1;
      if (c === QUOTE) {
        this.#at = stringEnd(text, at);
        left -= (this.#at - at) / STRING_SHARE;
        if (this.#depth === 1 && this.#value === undefined) this.#key = { start: at, end: this.#at };
      } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
        this.#depth += 1;
        this.#values += 1;
        if (this.#depth > this.#deepest) this.#deepest = this.#depth;
      } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
        if (this.#depth === 1) this.#endMember(at);
        this.#depth -= 1;
      } else if (c === COMMA) {
        this.#values += 1;
        if (this.#depth === 1) this.#endMember(at);
      } else if (c === COLON && this.#depth === 1 && this.#value === undefined) {
        this.#value = { start: at + 1, before: this.#values };
      }
    }
    return true;
  }

  shape(): JsonShape {
    const whole = this.#isObject && this.#isWhole && this.#depth === 0 && this.#at === this.#text.length;
    return { values: this.#values, depth: this.#deepest, members: whole ? this.#members : undefined };
  }

  #endMember(at: number): void {
    const [key, value] = [this.#key, this.#value];
    this.#key = undefined;
    this.#value = undefined;
    if (!key || !value) {
      this.#isWhole &&= key === undefined && value === undefined; // an empty object ends here too
      return;
    }
    if (this.#members.length >= MOST_MEMBERS) return;
    const text = this.#text;
    let [valueStart, valueEnd] = [value.start, at];
    while (valueStart < valueEnd && isSpace(text.charCodeAt(valueStart))) valueStart += 1;
    while (valueEnd > valueStart && isSpace(text.charCodeAt(valueEnd - 1))) valueEnd -= 1;
    if (valueStart === valueEnd) this.#isWhole = false;
    const name = keyIn(text.slice(key.start, key.end));
    if (name === undefined) this.#isWhole = false;
    else
      this.#members.push({
        key: name,
        keyStart: key.start,
        valueStart,
        valueEnd,
        values: this.#values - value.before,
      });
  }
}

function keyIn(quoted: string): string | undefined {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined; // a bad escape: not JSON
  }
}
