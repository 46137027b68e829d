/** What a terminal would act on instead of showing: C0 but tab and newline, DEL, C1. */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** What shows a line in another order than it was written in: embeddings, overrides, isolates. */
const reordering = /[\u202a-\u202e\u2066-\u2069]/g;

/** What shows nothing at all, so that two names look alike: marks, joiners, soft hyphens, tag characters. */
const invisible = /[\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2065\ufeff\u{e0000}-\u{e007f}]/gu;

/**
 * Text of a model or a server, safe for a terminal. Works on any piece of a stream: a sequence that is split
 * over two pieces loses its control character all the same. Joiners stay: emoji and several scripts need them.
 */
export function plain(text: string): string {
  return text.replace(controls, '').replace(reordering, '');
}

/** The same for one cell or one line, where what cannot be seen is shown as `\ufffd`: a name is what it looks like. */
export function oneLine(text: string): string {
  return plain(text.replace(/[\r\n\t]+/g, ' ').replace(reordering, '\ufffd')).replace(invisible, '\ufffd');
}

/** As one word of a shell of POSIX, whatever is in it: for what a person may paste. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** Each text in a value as `plain` leaves it, for a log that a person reads. Names of fields too. */
export function plainDeep(value: unknown): unknown {
  if (typeof value === 'string') return plain(value);
  if (Array.isArray(value)) return value.map(plainDeep);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [plain(name), plainDeep(inner)]));
}
