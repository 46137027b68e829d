import { z } from 'zod';

/** Names of llms, pools and (later) agents: docs/spec.md §2. Safe in a URL, a key and a shell. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/,
    'a name is 1 to 63 of a-z 0-9 . _ - and begins and ends with a letter or digit',
  );

/** Other names that a caller may use for an llm; wider, because model ids are. */
const ALIAS = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
export const aliasSchema = z.string().regex(ALIAS, 'an alias is 1 to 128 of A-Z a-z 0-9 . _ : / -');

/** Whether an llm, a pool or an alias could be called so. Anything else that a caller asks for goes into no log. */
export const isCallable = (asked: string): boolean => ALIAS.test(asked);

/**
 * What people take for one name: capitals are not told apart when somebody reads them out, and clients of Ollama write
 * `:latest` behind a name or not. Names of llms and pools are their own.
 */
export const foldedName = (name: string): string => name.toLowerCase().replace(/:latest$/, '');

export const uuidSchema = z.uuid();
/** What Postgres takes for a uuid, though no standard names its kind: rows that somebody wrote by hand have such ids. */
export const storedIdSchema = z.guid();

/** C0, DEL, C1, ends of lines and paragraphs, and what turns the order of writing: a text is as it is shown. */
const unshowable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

/** What shows nothing, so that two names look alike: soft hyphens, joiners, marks of zero width, tags. */
const invisible = /[\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2065\u3164\ufeff\u{e0000}-\u{e007f}]/u;

/** Somebody else's words, for one line, with a blank where they hold what cannot be shown. */
export function shownInLine(text: string): string {
  return text.replace(new RegExp(`(?:${unshowable.source})+`, 'g'), ' ');
}

/** Free text that Postgres, a log line and a terminal can all hold: no controls, no lone surrogates. */
export const textSchema = (max: number) =>
  z
    .string()
    .max(max)
    .refine(
      (s) => s.isWellFormed() && !unshowable.test(s),
      'must not contain control characters, changes of direction or lone surrogates',
    );

/** Text of many lines, for models and people: no controls but ends of lines and tabs, no lone surrogates. */
export const textBlockSchema = (max: number, min = 1) =>
  z
    .string()
    .min(min)
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/.test(text),
      'must not contain control characters other than ends of lines and tabs, or lone surrogates',
    );

/** Model ids are free text (docs/spec.md §2). */
export const modelSchema = textSchema(256)
  .min(1)
  .refine((s) => !invisible.test(s), 'must not contain characters that cannot be seen');

/** Llms with the same pool key form a pool. */
export function poolKeyOf(row: { name: string; poolName?: string | null | undefined }): string {
  return row.poolName ?? row.name;
}
