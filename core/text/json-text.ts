/**
 * Work on a JSON object as the text it is, so that a caller's body reaches the backend byte for byte: big
 * integers, `1.0`, duplicate keys, unknown fields and white space stay as they came. Each function is one
 * linear scan. None throws, whatever the text is. Only the top level is checked; whether a nested value is
 * valid is for `JSON.parse`, or the backend, to say.
 */

export interface Member {
  /** The key with its escapes resolved. */
  key: string;
  /** Where the key begins, quote and all. */
  keyStart: number;
  /** `text.slice(valueStart, valueEnd)` is the value without the space around it. */
  valueStart: number;
  valueEnd: number;
}

/** The new text of a value, or what makes it from the present one (undefined where the key is absent). */
export type Splice = string | ((current: string | undefined) => string);

/** Line breaks in a JSON text mean nothing; without them texts can be told apart by lines. */
export function onOneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text;
}

/** The members of the object that `text` is, in order, duplicates too; undefined when it is not an object. */
export function topLevelMembers(text: string): Member[] | undefined {
  const object = membersAt(text, skipSpace(text, 0));
  return object && skipSpace(text, object.end) === text.length ? object.members : undefined;
}

/** The members of the object that begins at `start`, and the index after it; undefined when none does, or it has more than `most`. */
export function membersAt(
  text: string,
  start: number,
  most = Infinity,
): { members: Member[]; end: number } | undefined {
  const members: Member[] = [];
  if (text.charCodeAt(start) !== OPEN_OBJECT) return undefined;
  let at = skipSpace(text, start + 1);
  if (text.charCodeAt(at) === CLOSE_OBJECT) return { members, end: at + 1 };
  for (;;) {
    const member = memberAt(text, at);
    if (!member || members.length >= most) return undefined;
    members.push(member);
    at = skipSpace(text, member.valueEnd);
    if (text.charCodeAt(at) === CLOSE_OBJECT) return { members, end: at + 1 };
    if (text.charCodeAt(at) !== COMMA) return undefined;
    at = skipSpace(text, at + 1);
  }
}

/** The one that counts, as a reader of JSON has it: of several of a name the last. */
export function memberOf(members: readonly Member[] | undefined, key: string): Member | undefined {
  return members?.findLast((member) => member.key === key);
}

/** The text of a member's value, byte for byte. @param members those of the object, where it is not all of `text`. */
export function memberText(
  text: string,
  key: string,
  members: readonly Member[] | undefined = topLevelMembers(text),
): string | undefined {
  const member = memberOf(members, key);
  return member && text.slice(member.valueStart, member.valueEnd);
}

/** Where the elements of the array that begins at `start` are; undefined when none does. */
export function elementsAt(text: string, start: number): { start: number; end: number }[] | undefined {
  const elements: { start: number; end: number }[] = [];
  if (text.charCodeAt(start) !== OPEN_ARRAY) return undefined;
  let at = skipSpace(text, start + 1);
  if (text.charCodeAt(at) === CLOSE_ARRAY) return elements;
  for (;;) {
    const end = skipValue(text, at);
    if (end === undefined) return undefined;
    elements.push({ start: at, end });
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === CLOSE_ARRAY) return elements;
    if (text.charCodeAt(at) !== COMMA) return undefined;
    at = skipSpace(text, at + 1);
  }
}

/**
 * Puts new values to top-level keys: at every occurrence of a key, or at the end where the key is absent.
 * Everything else stays as it is. Undefined when `text` is not a JSON object.
 */
export function spliceMembers(text: string, splices: Readonly<Record<string, Splice>>): string | undefined {
  const members = topLevelMembers(text);
  if (!members) return undefined;
  const absent = new Map(Object.entries(splices));
  const pieces: string[] = [];
  let copied = 0;
  for (const { key, valueStart, valueEnd } of members) {
    const splice = Object.hasOwn(splices, key) ? splices[key] : undefined;
    if (splice === undefined) continue;
    absent.delete(key);
    pieces.push(text.slice(copied, valueStart), apply(splice, text.slice(valueStart, valueEnd)));
    copied = valueEnd;
  }
  const end = members.at(-1)?.valueEnd ?? text.indexOf('{') + 1;
  pieces.push(text.slice(copied, end));
  let separator = members.length > 0 ? ',' : '';
  for (const [key, splice] of absent) {
    pieces.push(separator, JSON.stringify(key), ':', apply(splice, undefined));
    separator = ',';
  }
  pieces.push(text.slice(end));
  return pieces.join('');
}

export interface Reshape {
  drop: readonly string[];
  /** From → to. A key whose new name is there already is dropped. */
  rename: Readonly<Record<string, string>>;
}

/** Leaves out and renames top-level members; each value stays as it is written. Undefined as above. */
export function reshapeMembers(text: string, { drop, rename }: Reshape): string | undefined {
  const members = topLevelMembers(text);
  if (!members) return undefined;
  const dropped = new Set(drop);
  const present = new Set(members.map((member) => member.key));
  const kept = members.flatMap(({ key, keyStart, valueStart, valueEnd }) => {
    if (dropped.has(key)) return [];
    const name = Object.hasOwn(rename, key) ? rename[key] : undefined;
    if (name === undefined || name === key) return [text.slice(keyStart, valueEnd)];
    return present.has(name) ? [] : [`${JSON.stringify(name)}:${text.slice(valueStart, valueEnd)}`];
  });
  return `{${kept.join(',')}}`;
}

/**
 * Puts a new text to each element of the array that `text` is; what stands between them stays. Undefined when it
 * is not an array.
 */
export function mapElements(text: string, change: (element: string) => string): string | undefined {
  let at = skipSpace(text, 0);
  if (text[at] !== '[') return undefined;
  const pieces: string[] = [];
  let copied = 0;
  at = skipSpace(text, at + 1);
  if (text[at] === ']') return skipSpace(text, at + 1) === text.length ? text : undefined;
  for (;;) {
    const end = skipValue(text, at);
    if (end === undefined) return undefined;
    pieces.push(text.slice(copied, at), change(text.slice(at, end)));
    copied = end;
    at = skipSpace(text, end);
    if (text[at] === ']') break;
    if (text[at] !== ',') return undefined;
    at = skipSpace(text, at + 1);
  }
  return skipSpace(text, at + 1) === text.length ? pieces.join('') + text.slice(copied) : undefined;
}

/**
 * For `stream_options`: asks for the usage chunk and keeps the other options. A value that is neither an
 * object nor null is left for the backend to refuse.
 */
export function askForUsage(streamOptions: string | undefined): string {
  if (streamOptions === undefined || streamOptions === 'null') return '{"include_usage":true}';
  return spliceMembers(streamOptions, { include_usage: 'true' }) ?? streamOptions;
}

/**
 * Are arrays and objects nested deeper than `max`? Brackets inside strings do not count.
 * @internal what json-shape.ts sees is compared with it
 */
export function depthExceeds(text: string, max: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) at = stringEnd(text, at) - 1;
    else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      depth += 1;
      if (depth > max) return true;
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) depth -= 1;
  }
  return false;
}

/**
 * How many keys a JSON text holds, each as often as it is there; undefined where it is nested deeper than `deepest`, or holds a number
 * of more characters than `longestNumber`.
 */
export function keysWithin(
  text: string,
  { deepest, longestNumber }: { deepest: number; longestNumber: number },
): number | undefined {
  let keys = 0;
  let depth = 0;
  let scalarAt = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === COLON) keys += 1;
    else if (c === QUOTE) at = stringEnd(text, at) - 1;
    else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      depth += 1;
      if (depth > deepest) return undefined;
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) depth -= 1;
    else if (!endsScalar(c)) {
      if (at - scalarAt >= longestNumber) return undefined;
      continue;
    }
    scalarAt = at + 1;
  }
  return keys;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;

function apply(splice: Splice, current: string | undefined): string {
  return typeof splice === 'string' ? splice : splice(current);
}

function memberAt(text: string, keyStart: number): Member | undefined {
  if (text.charCodeAt(keyStart) !== QUOTE) return undefined;
  const keyEnd = stringEnd(text, keyStart);
  if (keyEnd > text.length) return undefined;
  const key = decodeKey(text.slice(keyStart, keyEnd));
  const colon = skipSpace(text, keyEnd);
  if (key === undefined || text[colon] !== ':') return undefined;
  const valueStart = skipSpace(text, colon + 1);
  const valueEnd = skipValue(text, valueStart);
  if (valueEnd === undefined) return undefined;
  return { key, keyStart, valueStart, valueEnd };
}

function decodeKey(quoted: string): string | undefined {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined; // a bad escape: not JSON
  }
}

/** The index after the value that begins at `start`; undefined when there is none or it does not end. */
function skipValue(text: string, start: number): number | undefined {
  const first = text.charCodeAt(start);
  if (first === QUOTE) {
    const end = stringEnd(text, start);
    return end <= text.length ? end : undefined;
  }
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return skipNested(text, start);
  let at = start;
  while (at < text.length && !endsScalar(text.charCodeAt(at))) at += 1;
  return at > start ? at : undefined;
}

function skipNested(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) at = stringEnd(text, at) - 1;
    else if (c === OPEN_OBJECT || c === OPEN_ARRAY) depth += 1;
    else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

/** After an escaped quote so many characters are looked at one by one: they come in heaps, and each search costs as much as many. */
const HEAP = 64;

/** The index after the closing quote of the string that begins at `start`; past the text when it has none. */
export function stringEnd(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length + 1;
    let backslashes = 0;
    while (quote - backslashes > at && text.charCodeAt(quote - 1 - backslashes) === BACKSLASH)
      backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
    for (const heap = at + HEAP; at < heap && at < text.length;) {
      const c = text.charCodeAt(at);
      if (c === QUOTE) return at + 1;
      at += c === BACKSLASH ? 2 : 1;
    }
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
}

function endsScalar(c: number): boolean {
  return c === COMMA || c === CLOSE_OBJECT || c === CLOSE_ARRAY || c === QUOTE || isSpace(c);
}

/** `text` parsed; undefined when it is not JSON. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not JSON: whoever asked says so
  }
}

/**
 * What a model has answered, parsed; small ones put what is JSON into a fence of lines of their own. Undefined when it is not JSON. It
 * costs what the answer is long, whatever that is: models are others'.
 */
export function jsonAnswer(answer: string): unknown {
  const text = answer.trim();
  const opening = /^```(?:json)?[^\S\n]*\n/.exec(text);
  const closing = /\n[^\S\n]*```$/.exec(text);
  return jsonValue(opening && closing ? text.slice(opening[0].length, closing.index) : answer);
}
