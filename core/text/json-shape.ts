import { jsonValue, type Member } from './json-text.ts';
import { loopTurn } from './loop-turns.ts';

/** What one look at a JSON text tells of it, before any of it is parsed. */
export interface JsonShape {
  /** At most how many values it holds, keys not counted: what parsing it would cost, besides its length. */
  values: number;
  /** At most how many keys: what is parsed costs most by these, where no two are alike. */
  keys: number;
  /** How deep arrays and objects are nested. */
  depth: number;
  /** The members of the object that it is, the first thousand; undefined when it is no object, or not whole. */
  members: ShapedMember[] | undefined;
}

export interface ShapedMember extends Member {
  values: number;
}

/** How much is looked at before others have their turn: a part of a millisecond. */
const SLICE = 50_000;
/** Of what goes quickly, like hashing. */
const QUICK_SLICE = 200_000;
/** What is smaller is done at once. */
const AT_ONCE = 16_000;
const MOST_MEMBERS = 1_000;
/** A longer key is none that anybody looks for. */
const LONGEST_KEY = 1_024;

/**
 * Looks over a text once, from its beginning to its end, and lets others have their turn in between: however large it
 * is, and whatever it holds, nobody waits for more than a slice of it.
 * @param owner who takes turns with others (loop-turns.ts).
 */
export async function shapeOf(text: string, owner = ''): Promise<JsonShape> {
  const scan = new JsonScan(text);
  while (!scan.look(SLICE)) await loopTurn(owner);
  return scan.shape();
}

/** More levels than any honest value has; some thousands are more than there is room for where one is written as JSON again. */
export const DEEPEST = 200;

/** What somebody else wrote, as JSON; undefined for what is none, or is nested deeper than that. */
export async function shallowJson(text: string, owner: string): Promise<unknown> {
  const { depth } = await shapeOf(text, owner);
  return depth > DEEPEST ? undefined : jsonValue(text);
}

/** Hands a text over piece by piece, with turns for others in between; no letter is torn. */
export async function inSlices(text: string, take: (slice: string) => void, owner = ''): Promise<void> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + QUICK_SLICE, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end += 1;
    take(text.slice(at, end));
    at = end;
    if (at < text.length) await loopTurn(owner);
  }
}

/** Waits for this owner's turn before work on a text that is not small. */
export async function turnFor(text: { length: number }, owner: string): Promise<void> {
  if (text.length > AT_ONCE) await loopTurn(owner);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const isSpace = (c: number): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;

/** One character out of so many may be anything; the scan never goes over a text twice. */
class JsonScan {
  readonly #text: string;
  readonly #strings: Strings;
  readonly #members: ShapedMember[] = [];
  #at = 0;
  #depth = 0;
  #deepest = 0;
  #values = 1;
  #keys = 0;
  /** What the text begins with; -1 before that was seen. */
  #first = -1;
  /** False when one of the top-level object's own characters is out of place. */
  #isWhole = true;
  /** Behind the last character that was no space. */
  #end = 0;
  /** The string that is looked at begins here; -1: none is. */
  #stringAt = -1;
  /** The key at the top level whose value is looked at; its quotes' places. */
  #key: { start: number; end: number } | undefined;
  /** Where its value begins (-1: not yet), and how many values there were before. */
  #value: { start: number; before: number } | undefined;

  constructor(text: string) {
    this.#text = text;
    this.#strings = new Strings(text);
  }

  /** @returns whether it is at the end. */
  look(budget: number): boolean {
    const text = this.#text;
    let left = budget;
    while (this.#at < text.length) {
      if ((left -= 1) < 0) return false;
      if (this.#stringAt >= 0) {
        this.#at = this.#strings.step(this.#at);
        left -= STEP_COST;
        if (!this.#strings.isEnd) continue;
        if (this.#depth === 1 && this.#value === undefined)
          this.#key = { start: this.#stringAt, end: this.#at };
        this.#stringAt = -1;
        this.#end = this.#at;
        continue;
      }
      const at = this.#at;
      const c = text.charCodeAt(at);
      this.#at += 1;
      if (isSpace(c)) continue;
      if (this.#first === -1) this.#first = c;
      if (this.#value?.start === -1 && this.#depth === 1) this.#value.start = at;
      if (c === QUOTE) this.#stringAt = at;
      else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
        this.#depth += 1;
        this.#values += 1;
        if (this.#depth > this.#deepest) this.#deepest = this.#depth;
      } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
        if (this.#depth === 1) this.#endMember(at);
        this.#depth -= 1;
      } else if (c === COMMA) {
        this.#values += 1;
        if (this.#depth === 1) this.#endMember(at);
      } else if (c === COLON) {
        this.#keys += 1;
        if (this.#depth === 1 && this.#value === undefined) this.#value = { start: -1, before: this.#values };
      }
      this.#end = this.#at;
    }
    return true;
  }

  shape(): JsonShape {
    const isEnded = this.#depth === 0 && this.#stringAt === -1 && this.#at === this.#text.length;
    const whole = this.#first === OPEN_OBJECT && this.#isWhole && isEnded;
    const members = whole ? this.#members : undefined;
    return { values: this.#values, keys: this.#keys, depth: this.#deepest, members };
  }

  /** @param at the comma or bracket behind it. */
  #endMember(at: number): void {
    const [key, value] = [this.#key, this.#value];
    this.#key = undefined;
    this.#value = undefined;
    if (!key || !value) {
      this.#isWhole &&= key === undefined && value === undefined; // an empty object ends here too
      return;
    }
    if (this.#members.length >= MOST_MEMBERS) return;
    const isEmpty = value.start === at || value.start === -1;
    const name = keyIn(this.#text, key);
    if (isEmpty || name === undefined) this.#isWhole = false;
    if (name === undefined) return;
    const [valueStart, valueEnd] = isEmpty ? [at, at] : [value.start, this.#end];
    const values = this.#values - value.before;
    this.#members.push({ key: name, keyStart: key.start, valueStart, valueEnd, values });
  }
}

/** A step within a string finds its place with two searches. */
const STEP_COST = 8;

/** Where strings end, a step at a time: each step is over one escape at most, or to the end. */
class Strings {
  readonly #text: string;
  /** The next of each at or behind where the last step ended; past the text where there is none. */
  #quote = -1;
  #backslash = -1;
  /** Did the last step come to the end of its string? */
  isEnd = false;

  constructor(text: string) {
    this.#text = text;
  }

  /** @param at within a string. @returns the place behind its closing quote, or behind the next escape. */
  step(at: number): number {
    if (this.#quote < at) this.#quote = this.#next('"', at);
    if (this.#backslash < at) this.#backslash = this.#next('\\', at);
    this.isEnd = this.#quote < this.#backslash;
    if (this.isEnd) return this.#quote + 1;
    return Math.min(this.#backslash + 2, this.#text.length);
  }

  #next(wanted: string, from: number): number {
    const at = this.#text.indexOf(wanted, from);
    return at === -1 ? this.#text.length : at;
  }
}

function keyIn(text: string, { start, end }: { start: number; end: number }): string | undefined {
  if (end - start > LONGEST_KEY) return '';
  try {
    return String(JSON.parse(text.slice(start, end)));
  } catch {
    return undefined; // a bad escape: not JSON
  }
}
