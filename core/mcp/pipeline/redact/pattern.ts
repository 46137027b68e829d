/** A set of UTF-16 code units: ranges that do not meet, in order. */
export type Units = readonly (readonly [number, number])[];

export type Assertion = 'line-begins' | 'line-ends' | 'word-edge' | 'no-word-edge';

export type Pattern =
  | { is: 'unit'; of: Units }
  | { is: 'assertion'; of: Assertion }
  | { is: 'all'; of: readonly Pattern[] }
  | { is: 'one'; of: readonly Pattern[] }
  | { is: 'times'; of: Pattern; least: number; most: number };

const LAST = 0xff_ff;
const MOST_TIMES = 1_000;
const MOST_DEEP = 32;

const digit: Units = [[0x30, 0x39]];
export const word: Units = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
export const lineEnds: Units = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x20_28, 0x20_29],
];
const space = unitsOf([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x16_80, 0x16_80],
  [0x20_00, 0x20_0a],
  [0x20_28, 0x20_29],
  [0x20_2f, 0x20_2f],
  [0x20_5f, 0x20_5f],
  [0x30_00, 0x30_00],
  [0xfe_ff, 0xfe_ff],
]);

const classes: Readonly<Record<string, Units>> = {
  d: digit,
  D: otherThan(digit),
  w: word,
  W: otherThan(word),
  s: space,
  S: otherThan(space),
};
const controls: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b };

function unitsOf(ranges: readonly (readonly [number, number])[]): Units {
  const joined: [number, number][] = [];
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

function otherThan(units: Units): Units {
  const others: [number, number][] = [];
  let from = 0;
  for (const [first, last] of units) {
    if (first > from) others.push([from, first - 1]);
    from = last + 1;
  }
  if (from <= LAST) others.push([from, LAST]);
  return others;
}

/** With the other case of each letter of a to z. */
function inBothCases(units: Units): Units {
  const shifted = (first: number, last: number, by: number): [number, number][] =>
    units.flatMap(([from, to]): [number, number][] => {
      const [a, b] = [Math.max(from, first), Math.min(to, last)];
      return a <= b ? [[a + by, b + by]] : [];
    });
  return unitsOf([...units, ...shifted(0x41, 0x5a, 0x20), ...shifted(0x61, 0x7a, -0x20)]);
}

/** What of a regular expression can be looked for in time that grows with the text alone was left. @throws SyntaxError, a sentence. */
export function patternOf(source: string): Pattern {
  const anyCase = source.startsWith('(?i)');
  return new Parser(anyCase ? source.slice(4) : source, anyCase).whole();
}

class Parser {
  readonly #text: string;
  readonly #anyCase: boolean;
  #at = 0;
  #deep = 0;

  constructor(text: string, anyCase: boolean) {
    this.#text = text;
    this.#anyCase = anyCase;
  }

  whole(): Pattern {
    const pattern = this.#oneOf();
    if (this.#at < this.#text.length) throw fault('has a ")" too many');
    return pattern;
  }

  #oneOf(): Pattern {
    const of = [this.#sequence()];
    while (this.#takes('|')) of.push(this.#sequence());
    return of.length === 1 && of[0] ? of[0] : { is: 'one', of };
  }

  #sequence(): Pattern {
    const of: Pattern[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#next())) of.push(this.#repeated());
    return { is: 'all', of };
  }

  #repeated(): Pattern {
    let pattern = this.#atom();
    for (let times = this.#times(); times; times = this.#times()) {
      if (pattern.is === 'assertion' || pattern.is === 'times')
        throw fault('repeats what cannot be, as two quantifiers after one another');
      pattern = { is: 'times', of: pattern, ...times };
      this.#takes('?'); // how much one takes changes nothing of what all of them do
    }
    return pattern;
  }

  #times(): { least: number; most: number } | null {
    if (this.#takes('*')) return { least: 0, most: Infinity };
    if (this.#takes('+')) return { least: 1, most: Infinity };
    if (this.#takes('?')) return { least: 0, most: 1 };
    const [whole, first, comma, last] = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#rest()) ?? [];
    if (whole === undefined) return null;
    this.#at += whole.length;
    const least = Number(first);
    const most = comma === undefined ? least : last === '' ? Infinity : Number(last);
    if (least > MOST_TIMES || (most !== Infinity && most > MOST_TIMES))
      throw fault(`repeats more than ${String(MOST_TIMES)} times`);
    if (most < least) throw fault('repeats at most less than at least');
    return { least, most };
  }

  #atom(): Pattern {
    const char = this.#next();
    this.#at += 1;
    switch (char) {
      case '.':
        return { is: 'unit', of: otherThan(lineEnds) };
      case '^':
        return { is: 'assertion', of: 'line-begins' };
      case '$':
        return { is: 'assertion', of: 'line-ends' };
      case '(':
        return this.#group();
      case '[':
        return this.#unit(this.#set());
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw fault(`has "${char}" after nothing that it could repeat`);
      case '{':
      case '}':
      case ']':
        throw fault(`has a "${char}" by itself; write "\\${char}"`);
      default:
        return this.#unit(single(char.charCodeAt(0)));
    }
  }

  #group(): Pattern {
    if (this.#next() === '?' && !this.#rest().startsWith('?:'))
      throw fault(
        'looks ahead or behind, or names a group: neither is there; (?i) stands at its beginning alone',
      );
    if (this.#next() === '?') this.#at += 2;
    this.#deep += 1;
    if (this.#deep > MOST_DEEP) throw fault(`has groups in groups, more than ${String(MOST_DEEP)} deep`);
    const inner = this.#oneOf();
    if (!this.#takes(')')) throw fault('lacks a ")"');
    this.#deep -= 1;
    return inner;
  }

  #escape(): Pattern {
    const char = this.#next();
    if (char === 'b' || char === 'B') {
      this.#at += 1;
      return { is: 'assertion', of: char === 'b' ? 'word-edge' : 'no-word-edge' };
    }
    return this.#unit(this.#escaped());
  }

  /** What a backslash is before, within brackets and without. */
  #escaped(): Units {
    const char = this.#next();
    this.#at += 1;
    const set = Object.hasOwn(classes, char) ? classes[char] : undefined;
    if (set) return set;
    const control = Object.hasOwn(controls, char) ? controls[char] : undefined;
    if (control !== undefined) return single(control);
    const [, digits] = (char === 'x' ? /^([\da-f]{2})/i : /^([\da-f]{4})/i).exec(this.#rest()) ?? [];
    if ((char === 'x' || char === 'u') && digits !== undefined) {
      this.#at += digits.length;
      return single(Number.parseInt(digits, 16));
    }
    if (char === '' || /[A-Za-z0-9]/.test(char))
      throw fault(
        `has "\\${char}", which is not known here: no back references, no properties of characters`,
      );
    return single(char.charCodeAt(0));
  }

  #set(): Units {
    const negated = this.#takes('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#takes(']')) {
      const first = this.#member();
      const isRange = this.#next() === '-' && !['', ']'].includes(this.#text[this.#at + 1] ?? '');
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.#at += 1;
      const last = this.#member();
      const [from, to] = [onlyOf(first), onlyOf(last)];
      if (from === null || to === null || from > to) throw fault('has a range that is none');
      ranges.push([from, to]);
    }
    const units = this.#anyCase ? inBothCases(unitsOf(ranges)) : unitsOf(ranges);
    return negated ? otherThan(units) : units;
  }

  #member(): Units {
    const char = this.#next();
    if (char === '') throw fault('lacks a "]"');
    this.#at += 1;
    if (char === '\\') return this.#escaped();
    const unit = char.charCodeAt(0);
    if (unit >= 0xd8_00 && unit <= 0xdf_ff)
      throw fault('has a character beyond U+FFFF in brackets; write those with | between them');
    return single(unit);
  }

  #unit(of: Units): Pattern {
    return { is: 'unit', of: this.#anyCase ? inBothCases(of) : of };
  }

  #next = (): string => this.#text[this.#at] ?? '';
  #rest = (): string => this.#text.slice(this.#at);

  #takes(char: string): boolean {
    if (this.#next() !== char) return false;
    this.#at += 1;
    return true;
  }
}

const single = (unit: number): Units => [[unit, unit]];
const onlyOf = ([range, ...more]: Units): number | null =>
  range && more.length === 0 && range[0] === range[1] ? range[0] : null;
const fault = (what: string): SyntaxError => new SyntaxError(`The pattern ${what}.`);
