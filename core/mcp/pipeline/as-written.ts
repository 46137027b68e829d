import { DEEPEST } from '../../text/json-shape.ts';
import { jsonValue, keysWithin, membersAt, onOneLine } from '../../text/json-text.ts';

/** A JSON text, and what was read of it. */
export interface Written {
  text: string;
  value: unknown;
}

/** As `jsonValue` reads it: nothing where it is none. */
export const writtenIn = (text: string): Written => ({ text, value: jsonValue(text) });

/** The arguments of a call as they stand in its message. */
export const asArguments = ({ text, value }: Written): Written => ({
  text: `{"params":{"arguments":${text}}}`,
  value: { params: { arguments: value } },
});

/** What was put together anew is looked into so deep for what was not: every level reads its text once more. */
const LEVELS = 3;
/** Of an object of more members all that was not left as it was is written anew. */
const MOST_MEMBERS = 1_000;
/** Nobody counts so far; to read a number takes some readers the square of its length. */
const LONGEST_NUMBER = 1_024;

interface Place {
  text: string;
  start: number;
  end: number;
  read: unknown;
}

/**
 * A value as JSON, on one line. What of it is the very value that was read of a text stays as it is written there: integers of more
 * than 53 bits, `1.0`, `1e2`, escapes and spaces. All else is written anew, and so is what the text says otherwise than it was read:
 * with a key twice, too deep, or with a number that is too long.
 */
export function asWritten(value: unknown, from: Written | undefined): string {
  if (from === undefined) return JSON.stringify(value);
  const { text, value: read } = from;
  return textAt(value, { text, start: text.search(/\S/), end: text.length, read }, LEVELS);
}

function textAt(value: unknown, place: Place, levels: number): string {
  const { text, start, end, read } = place;
  if (start < 0) return JSON.stringify(value);
  if (Object.is(value, read) || isCopy(value, read)) {
    const own = text.slice(start, end);
    if (saysNoMore(own, read)) return onOneLine(own);
  }
  if (levels > 0 && isObject(value) && isObject(read)) return objectAt(value, { ...place, read }, levels);
  return JSON.stringify(value);
}

/** Whoever checked it made another of the same members. */
function isCopy(value: unknown, read: unknown): boolean {
  if (!isObject(value) || !isObject(read)) return false;
  const keys = Object.keys(read);
  return (
    keys.length === Object.keys(value).length &&
    keys.every((key) => Object.hasOwn(value, key) && Object.is(value[key], read[key]))
  );
}

function objectAt(
  value: Readonly<Record<string, unknown>>,
  { text, start, read }: Place & { read: Readonly<Record<string, unknown>> },
  levels: number,
): string {
  const members = membersAt(text, start, MOST_MEMBERS)?.members ?? [];
  // Of several of a name the last, as it was read.
  const byKey = new Map(members.map((member) => [member.key, member]));
  const texts: string[] = [];
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    const member = Object.hasOwn(read, key) ? byKey.get(key) : undefined;
    const own = member
      ? textAt(inner, { text, start: member.valueStart, end: member.valueEnd, read: read[key] }, levels - 1)
      : JSON.stringify(inner);
    texts.push(`${JSON.stringify(key)}:${own}`);
  }
  return `{${texts.join(',')}}`;
}

function saysNoMore(text: string, read: unknown): boolean {
  const keys = keysWithin(text, { deepest: DEEPEST, longestNumber: LONGEST_NUMBER });
  return keys !== undefined && keys === keysOf(read);
}

function keysOf(value: unknown): number {
  let keys = 0;
  const open = [value];
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one !== 'object' || one === null) continue;
    const inner: unknown[] = Array.isArray(one) ? one : Object.values(one);
    if (inner !== one) keys += inner.length;
    for (const each of inner) if (typeof each === 'object' && each !== null) open.push(each);
  }
  return keys;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
