import { jsonValue } from '../../text/json-text.ts';

/** Enough to be nobody's turn of speech, and no more than what is left where a text is cut in the middle (Pydantic: 24). */
const ENOUGH = 20;
/** A shorter word may be the backend's own (`user`, `auto`): it is the caller's where it stands between quotes. */
const LEAST = 8;
/** What holds more of them, or is longer, is not read: nothing that a backend says of it is believed to be its own. */
const MOST_STRINGS = 10_000;
const LONGEST = 32 * 1_024 * 1_024;
/** Nor what has so many texts that begin, or end, as something in the error does. */
const MOST_ALIKE = 500;

/**
 * What a backend says by itself, without what it repeats of the request: FastAPI's `input`, a name, a value between
 * quotes. Who calls could otherwise write of accounts and models that are not there, and have others' member rest for it.
 * @returns undefined when the request is too much to be compared with.
 */
export function ownWords(text: string, request: string): string | undefined {
  if (request.length > LONGEST || holdsMany(request)) return undefined;
  const isTheirs = new Uint8Array(text.length);
  const folded = foldedOf(text);
  const quoted = quotedIn(text);
  const longest = 2 * text.length;
  let alike = 0;
  for (const one of new Set(stringsIn(jsonValue(request)))) {
    for (const at of quoted.get(one) ?? []) isTheirs.fill(1, at, at + one.length);
    if (isWord.test(one)) continue;
    const head = foldedOf(one.slice(0, 4 * ENOUGH)).letters;
    const tail = foldedOf(one.slice(-4 * ENOUGH)).letters;
    const begins = isPhrase(head) && folded.letters.includes(head.slice(0, ENOUGH));
    const ends = tail.length > ENOUGH && folded.letters.includes(tail.slice(-ENOUGH));
    if ((begins || ends) && ++alike > MOST_ALIKE) return undefined;
    if (begins)
      mark(folded, { of: foldedOf(one.slice(0, longest)).letters, from: 'beginning', in: isTheirs });
    if (ends) mark(folded, { of: foldedOf(one.slice(-longest)).letters, from: 'end', in: isTheirs });
  }
  return text.replace(/[^]/g, (c, at: number) => (isTheirs[at] === 1 ? ' ' : c));
}

function holdsMany(json: string): boolean {
  let quotes = 0;
  for (let at = json.indexOf('"'); at !== -1; at = json.indexOf('"', at + 1))
    if (++quotes > 2 * MOST_STRINGS) return true;
  return false;
}

function* stringsIn(value: unknown): Generator<string> {
  const open = [value];
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one === 'string') yield one;
    else if (Array.isArray(one)) for (const item of one) open.push(item);
    else if (typeof one === 'object' && one !== null)
      for (const [key, item] of Object.entries(one)) open.push(key, item);
  }
}

const isWord = new RegExp(`^[\\w-]{1,${String(LEAST - 1)}}$`);

/** Two words of the shortest kind, or one of a script that needs few letters. */
const isPhrase = (letters: string): boolean =>
  letters.length >= LEAST - 2 || (letters.length >= 2 && !/^[a-z0-9]*$/.test(letters));

/** Where each word stands between quotes. */
function quotedIn(text: string): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (const { 0: word, index } of text.matchAll(/(?<=['"`‘’“”])[\w-]{1,64}(?=['"`‘’“”])/g)) {
    const its = places.get(word);
    if (its) its.push(index);
    else places.set(word, [index]);
  }
  return places;
}

interface Folded {
  /** Letters and digits alone, small: however it was quoted, escaped or broken into lines. */
  letters: string;
  /** Where each stands in the text. */
  at: number[];
}

function foldedOf(text: string): Folded {
  const letters: string[] = [];
  const at: number[] = [];
  for (const match of text.matchAll(/\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|[nrtbf"'\\/])|[\p{L}\p{N}]/giu)) {
    if (match[0].length > 1) continue; // what is escaped, or beyond what one unit holds
    const small = match[0].toLowerCase();
    letters.push(small.length === 1 ? small : match[0]);
    at.push(match.index);
  }
  return { letters: letters.join(''), at };
}

/** Marks each place where a text stands whole, or as much of its beginning, or its end, as was left of it. */
function mark(
  { letters, at }: Folded,
  { of, from, in: marks }: { of: string; from: 'beginning' | 'end'; in: Uint8Array },
): void {
  const piece = from === 'beginning' ? of.slice(0, ENOUGH) : of.slice(-ENOUGH);
  for (let begin = letters.indexOf(piece); begin !== -1; begin = letters.indexOf(piece, begin + 1)) {
    let [first, last] = [begin, begin + piece.length - 1];
    if (from === 'beginning')
      while (last - begin + 1 < of.length && letters[last + 1] === of[last - begin + 1]) last += 1;
    else while (first > 0 && letters[first - 1] === of[of.length - 1 - (last - first + 1)]) first -= 1;
    marks.fill(1, at[first], (at[last] ?? 0) + 1);
    begin = last; // each place once
  }
}
