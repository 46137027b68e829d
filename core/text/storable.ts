/** Of a text column that people read: a reason, a message, a name. */
const LONGEST_TEXT = 4_000;
/** Deeper than this nothing is kept: Postgres parses JSON by recursion. */
const DEEPEST = 64;

/**
 * Text that Postgres can hold whatever it is put into: without U+0000, which neither text nor jsonb takes, and without
 * halves of surrogate pairs, which JSON escapes and Postgres refuses. What is replaced becomes U+FFFD.
 */
export function storableText(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\0') ? whole.replaceAll('\0', '\ufffd') : whole;
}

/** The same for what somebody else wrote for people to read: no longer than a column of that kind is meant to be. */
export function storableSentence(text: string, most = LONGEST_TEXT): string {
  return storableText(text.length > most ? text.slice(0, most) : text);
}

/** A name that is compared, such as a code or a reason to finish: of few characters, and none that need care. */
export function storableWord(text: string, most = 64): string {
  return storableText(text).slice(0, most);
}

/** A value for jsonb, as JSON would have it: all of its texts and keys storable, no number that JSON cannot say. */
export function storableJson(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return storableText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return storableInstant(value);
  if (depth >= DEEPEST) return null;
  if (Array.isArray(value)) return value.map((item) => storableJson(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [storableText(key), storableJson(inner, depth + 1)]),
  );
}

/** Behind a backslash of its own it means nothing of the kind; then a second look is no loss. */
const unstorableEscape = /\\u(?:0000|d[89a-f])/;

/** The text of `storableJson`: JSON escapes all that is not storable, so one look at it tells whether anything is to be replaced. */
export function storableJsonText(value: unknown): string {
  const text = JSON.stringify(value);
  return unstorableEscape.test(text) ? JSON.stringify(storableJson(value)) : text;
}

const FIRST_YEAR = 1970;
const LAST_YEAR = 9999;

/** An instant that `timestamptz` can hold; null for one that somebody made up. */
export function storableInstant(at: Date | null): Date | null {
  if (at === null || Number.isNaN(at.getTime())) return null;
  const year = at.getUTCFullYear();
  return year < FIRST_YEAR || year > LAST_YEAR ? null : at;
}
