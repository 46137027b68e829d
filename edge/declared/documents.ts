import { z } from 'zod';
import type { ApplyBody } from '../../core/declared/apply.ts';
import { namesOf, noDocuments, ofServer, type Kind } from '../../core/declared/kinds.ts';
import { withoutRetired } from '../../core/declared/retired.ts';
import { McpctlError, type Fault } from '../../core/errors.ts';
import type { Document } from '../../core/registry/declared/document.ts';
import type { Refusal } from '../../core/registry/declared/refusals.ts';
import { nearest } from '../../core/runtime/nearest.ts';
import { faultsIn } from '../http/parse.ts';

type Said = ApplyBody['documents'][number];

export interface Read {
  documents: Document[];
  refused: Refusal[];
  /** A sentence each; none says a value. */
  warnings: string[];
}

export const MOST_WARNINGS = 100;

const invalid = (details: Fault[]): McpctlError => new McpctlError('invalid_request', undefined, { details });

/** @throws McpctlError for a word that no document is about. */
function kindOf(kinds: readonly Kind[], resource: string): Kind {
  const kind = kinds.find(({ word }) => word === resource);
  if (kind) return kind;
  const why = Object.hasOwn(noDocuments, resource) ? noDocuments[resource] : undefined;
  const words = kinds.map(({ word }) => word);
  const [near] = nearest(resource, words, 1);
  const hint = near
    ? `is nothing that can be applied; did you mean ${near}?`
    : `must be one of ${words.join(', ')}`;
  const details = [{ path: 'resource', message: why ?? hint }];
  throw why === undefined ? invalid(details) : new McpctlError('not_appliable', undefined, { details });
}

/** What a document is refused with that says itself that a worker makes it. */
function publishedCode(
  resource: string,
  { kind, isPublished }: Readonly<Record<string, unknown>>,
): 'llm_published' | 'agent_published' | undefined {
  if (resource === 'llm') return kind === 'virtual' ? 'llm_published' : undefined;
  const isVirtual = resource === 'agent' ? kind === 'virtual' : resource === 'prompt' && isPublished === true;
  return isVirtual ? 'agent_published' : undefined;
}

/** What of one document is to pass its schema. */
interface Wanted extends Pick<Document, 'kind' | 'ifMatch'> {
  schema: z.ZodObject;
  fields: Readonly<Record<string, unknown>>;
}

/** Each by itself: what is wrong with one keeps no other from being looked at. */
function eachOf(asked: readonly Said[], read: (one: Said, place: string) => Wanted): Omit<Read, 'warnings'> {
  const documents: Document[] = [];
  const refused: Refusal[] = [];
  for (const [at, one] of asked.entries()) {
    const place = `documents.${at}`;
    let about: Refusal['about'] = null;
    try {
      const { schema, fields, ...rest } = read(one, place);
      const { key } = rest.kind;
      about = { kind: rest.kind, values: { [key]: fields[key] } };
      const { success, data, error } = schema.safeParse(fields);
      if (!success) throw invalid(faultsIn(error, schema));
      documents.push({ ...rest, values: data, at });
    } catch (thrown) {
      if (!(thrown instanceof McpctlError)) throw thrown;
      refused.push({ place, error: thrown, about });
    }
  }
  return { documents, refused };
}

/** Documents as they are to be: what the server owns is passed over, and what is no more a field with a warning. */
export function readDocuments(
  { documents: asked, validate, matchRevision }: Pick<ApplyBody, 'documents' | 'validate' | 'matchRevision'>,
  kinds: readonly Kind[],
): Read {
  const warnings: string[] = [];
  const read = eachOf(asked, ({ resource, ...all }, place) => {
    const kind = kindOf(kinds, resource);
    const published = publishedCode(resource, all);
    if (published) throw new McpctlError(published, 'A worker publishes it; no document changes it.');
    const { fields, warnings: retired } = withoutRetired(resource, all);
    warnings.push(...retired.map((sentence) => `${place}: ${sentence}`));
    const server = new Set(['format', ...ofServer(kind)]);
    const writable = new Set(Object.keys(kind.schemas.create.shape));
    const isDropped = (name: string): boolean =>
      server.has(name) || (validate !== 'strict' && !writable.has(name));
    if (validate === 'warn')
      warnings.push(
        ...Object.keys(fields)
          .filter((name) => !server.has(name) && !writable.has(name))
          .map((name) => `${place}.${name.slice(0, 64)}: is not a field here, and is passed over.`),
      );
    const own = Object.fromEntries(Object.entries(fields).filter(([name]) => !isDropped(name)));
    const revision = all['revision'];
    const isBound = matchRevision && typeof revision === 'number' && Number.isSafeInteger(revision);
    return { kind, schema: kind.schemas.create, fields: own, ...(isBound && { ifMatch: revision }) };
  });
  return { ...read, warnings: warnings.slice(0, MOST_WARNINGS) };
}

/** What names each, and nothing else of it. */
export function readNames(asked: readonly Said[], kinds: readonly Kind[]): Omit<Read, 'warnings'> {
  return eachOf(asked, ({ resource, ...fields }) => {
    const kind = kindOf(kinds, resource);
    const names = namesOf(kind);
    const { shape } = kind.schemas.create;
    const schema = z.strictObject(Object.fromEntries(names.map((name) => [name, shape[name] ?? z.never()])));
    const own = Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)));
    return { kind, schema, fields: own };
  });
}
