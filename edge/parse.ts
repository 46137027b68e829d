import type { Request } from 'express';
import { z } from 'zod';
import { McpctlError, type Fault } from '../core/errors.ts';
import { depthExceeds } from '../core/json-text.ts';
import { nearest } from '../core/runtime/nearest.ts';

/** More levels than any honest body has. */
const DEPTH = 200;
/** Bodies of everything but inference are small; parsing a large one would hold up the others. */
const SMALL_BYTES = 1_048_576;
const MOST_FAULTS = 50;

function faultsOf(issues: readonly z.core.$ZodIssue[], known: readonly string[]): Fault[] {
  return issues.flatMap((issue): Fault[] => {
    const path = issue.path.map(String).join('.');
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
    return issue.keys.map((key) => {
      const near = nearest(key, known, 1)[0];
      return {
        path: path ? `${path}.${key}` : key,
        message: near ? `is not a field here; did you mean ${near}?` : 'is not a field here',
      };
    });
  });
}

function check<S extends z.ZodType>(value: unknown, schema: S): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const details = faultsOf(parsed.error.issues, known).slice(0, MOST_FAULTS);
  throw new McpctlError('invalid_request', undefined, { details });
}

const storable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000');

/** Where a NUL or a lone surrogate hides: Postgres could not keep such a string. */
function unstorable(value: unknown, path: string): Fault[] {
  const fault = { path, message: 'must not contain NUL or lone surrogates' };
  if (typeof value === 'string') return storable(value) ? [] : [fault];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    storable(key) ? unstorable(inner, path ? `${path}.${key}` : key) : [fault],
  );
}

/** The text of a body as JSON. @throws McpctlError `invalid_json`, also when it is nested too deep. */
export function parseJson(text: string | undefined): unknown {
  if (text === undefined || text.trim() === '') {
    throw new McpctlError('invalid_json', 'The body is empty; send a JSON object.');
  }
  if (depthExceeds(text, DEPTH)) {
    throw new McpctlError('invalid_json', `The body is nested deeper than ${DEPTH} levels.`);
  }
  try {
    return JSON.parse(text);
  } catch (_thrown) {
    // The parser's own message quotes the body.
    throw new McpctlError('invalid_json');
  }
}

/**
 * The body of a call. One `forInference` may be large, and what a backend gets of it need not be storable as
 * anything but text.
 * @throws McpctlError `invalid_json`, `invalid_request`, `body_too_large`.
 */
export function bodyOf<S extends z.ZodType>(
  req: Request,
  schema: S,
  { forInference = false }: { forInference?: boolean } = {},
): z.infer<S> {
  const { text } = req.context;
  if (!forInference && text !== undefined && text.length > SMALL_BYTES) {
    throw new McpctlError('body_too_large', 'A body of this call is at most 1 MiB.');
  }
  const value = parseJson(text);
  const details = forInference ? [] : unstorable(value, '').slice(0, MOST_FAULTS);
  if (details.length > 0) throw new McpctlError('invalid_request', undefined, { details });
  return check(value, schema);
}

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
