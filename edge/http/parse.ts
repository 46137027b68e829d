import type { Request, Response } from 'express';
import { z } from 'zod';
import { McpctlError, type Fault } from '../../core/errors.ts';
import { DEEPEST, type JsonShape } from '../../core/text/json-shape.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { isSmall, outlineOf } from './outline.ts';

/** Bodies of everything but inference are small; parsing a large one would hold up the others. */
const SMALL_MIB = 1;
const SMALL_VALUES = 20_000;
/** Whatever else a body may hold: 90,000 that are not alike hold everybody up for a quarter of a second. */
const MOST_KEYS = 20_000;
const MOST_FAULTS = 50;
/** Longer ones are not looked at for being blank: what is no JSON is refused all the same. */
const BLANK_CHARS = 65_536;

/** Beyond, a key is no misspelling of ours, and is not shown whole. */
const LONGEST_KEY = 64;

const shown = (path: string): string => (path.length > 200 ? `${path.slice(0, 200)}…` : path);

/** What is wrong with a body, the first of it: as many faults as are shown, so that a thousand cost no more. */
function faultsOf(issues: readonly z.core.$ZodIssue[], fields: readonly string[]): Fault[] {
  const faults: Fault[] = [];
  for (const issue of issues) {
    const path = issue.path.map(String).join('.');
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [null];
    for (const key of keys) {
      if (faults.length >= MOST_FAULTS) return faults;
      if (key === null) faults.push({ path: shown(path), message: shown(issue.message) });
      else faults.push({ path: shown(path ? `${path}.${key}` : key), message: unknownKey(key, fields) });
    }
  }
  return faults;
}

function unknownKey(key: string, fields: readonly string[]): string {
  const near = key.length > LONGEST_KEY ? undefined : nearest(key, fields, 1)[0];
  return near ? `is not a field here; did you mean ${near}?` : 'is not a field here';
}

/** What came from outside, as its schema has it. @throws McpctlError `invalid_request` */
export function check<S extends z.ZodType>(value: unknown, schema: S): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new McpctlError('invalid_request', undefined, { details: faultsIn(parsed.error, schema) });
}

/** What a schema has against a value, the first of it. */
export function faultsIn(error: z.ZodError, schema: z.ZodType): Fault[] {
  return faultsOf(error.issues, schema instanceof z.ZodObject ? Object.keys(schema.shape) : []);
}

const noShape: JsonShape = { values: 0, keys: 0, depth: 0, members: undefined };

const storable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000');

/** In a JSON text nothing else becomes what is not storable; most texts have none, and half of a pair may be one. */
const escapes = /\\u(?:0000|d[89a-f])/i;

const isStorable = (value: unknown): boolean =>
  typeof value === 'string'
    ? storable(value)
    : typeof value !== 'object' ||
      value === null ||
      Object.entries(value).every(([key, inner]) => storable(key) && isStorable(inner));

/** Where a NUL or a lone surrogate hides: Postgres could not keep such a string. */
function unstorable(value: unknown, path: string): Fault[] {
  const fault = { path, message: 'must not contain NUL or lone surrogates' };
  if (typeof value === 'string') return storable(value) ? [] : [fault];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    storable(key) ? unstorable(inner, path ? `${path}.${key}` : key) : [fault],
  );
}

/**
 * The text of a body as JSON.
 * @throws McpctlError `invalid_json`, also when it is nested too deep.
 */
function parseJson(text: string, { depth }: JsonShape): unknown {
  if (depth > DEEPEST) {
    throw new McpctlError('invalid_json', `The body is nested deeper than ${DEEPEST} levels.`);
  }
  try {
    return JSON.parse(text);
  } catch (_thrown) {
    if (text.length <= BLANK_CHARS && text.trim() === '')
      throw new McpctlError('invalid_json', 'The body is empty; send a JSON object.');
    throw new McpctlError('invalid_json'); // the parser's own message quotes the body
  }
}

/** The same, or the outline of it where it is large (outline.ts). */
export function outlinedJson(text: string, shape: JsonShape): unknown {
  if (shape.depth > DEEPEST || isSmall(text, shape)) return parseJson(text, shape);
  return outlineOf(text, shape);
}

/**
 * The body of a call. One `forInference` may be large, and what a backend gets of it need not be storable as
 * anything but text; only an outline of it is looked at then, unless the `whole` of it is wanted.
 * @throws McpctlError `invalid_json`, `invalid_request`, `body_too_large`.
 */
export function bodyOf<S extends z.ZodType>(
  req: Request,
  schema: S,
  {
    forInference = false,
    mostMiB = SMALL_MIB,
    mostValues = SMALL_VALUES,
    passOver,
  }: {
    forInference?: boolean | 'whole';
    mostMiB?: number;
    mostValues?: number;
    /** Of an object what is looked at: what it leaves out is no fault. */
    passOver?: (fields: Readonly<Record<string, unknown>>) => unknown;
  } = {},
): z.infer<S> {
  const { text = '', shape = noShape } = req.context;
  if (forInference) return check((forInference === 'whole' ? parseJson : outlinedJson)(text, shape), schema);
  if (text.length > mostMiB * 1_048_576) {
    throw new McpctlError('body_too_large', `A body of this call is at most ${mostMiB} MiB.`);
  }
  if (shape.values > mostValues) {
    throw new McpctlError('body_too_large', `A body of this call holds at most ${mostValues} values.`);
  }
  if (shape.keys > MOST_KEYS) {
    throw new McpctlError('body_too_large', `A body of this call holds at most ${MOST_KEYS} keys.`);
  }
  const value = parseJson(text, shape);
  // Where each value is, is worked out for who is told of it alone: for thousands of messages it takes longer than all else.
  const isSure = text.isWellFormed() && !escapes.test(text);
  const details = isSure || isStorable(value) ? [] : unstorable(value, '').slice(0, MOST_FAULTS);
  if (details.length > 0) throw new McpctlError('invalid_request', undefined, { details });
  const fields = passOver && objectSchema.safeParse(value).data;
  return check(fields ? passOver(fields) : value, schema);
}

const objectSchema = z.record(z.string(), z.unknown());

/** @throws McpctlError `invalid_request` for unknown, repeated or wrong parameters. */
export function queryOf<S extends z.ZodType>(req: Request, schema: S): z.infer<S> {
  return check({ ...req.query }, schema);
}

/** The revision that a writer has seen, from `If-Match`; null when it does not care. */
export function ifMatchOf(req: Request): number | null {
  const header = req.get('if-match')?.trim();
  if (header === undefined || header === '*') return null;
  const revision = /^(?:W\/)?"(\d{1,9})"$/.exec(header)?.[1];
  if (revision === undefined) {
    throw new McpctlError('invalid_request', 'If-Match is the ETag that a GET gave you, like "3".');
  }
  return Number(revision);
}

/** Says which revision an answer shows, as `ifMatchOf` reads it of who writes over that. */
export const showRevision = (res: Response, { revision }: { revision: number }): Response =>
  res.set('etag', `"${revision}"`);

/** An opaque position in a list: after the item of this key. */
export function cursorOf(key: string): string {
  return Buffer.from(key).toString('base64url');
}

/** @throws McpctlError `invalid_cursor` unless `schema` knows the key that the cursor holds. */
export function afterOf(cursor: string | undefined, schema: z.ZodType<string>): string | undefined {
  if (cursor === undefined) return undefined;
  const parsed = schema.safeParse(Buffer.from(cursor, 'base64url').toString());
  if (!parsed.success) {
    throw new McpctlError(
      'invalid_cursor',
      'The position is malformed; use the `next` that a list gave you.',
    );
  }
  return parsed.data;
}
