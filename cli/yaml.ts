import { isMap, isNode, isScalar, LineCounter, parseAllDocuments, stringify, type Document } from 'yaml';
import { z } from 'zod';
import { McpctlError } from '../core/errors.ts';

/** More than any document of ours, and less than would take long. */
const MOST_CHARS = 4_194_304;
const MOST_ALIASES = 100;

const objectSchema = z.record(z.string(), z.unknown());

export interface ReadDocument {
  fields: Record<string, unknown>;
  /** The line, from 1, of what stands at a path; of the document itself where nothing does. */
  lineOf(path: readonly string[]): number;
}

/**
 * One document of fields. Strict: no directive and no tag changes what is read, no key is there twice, and no error repeats
 * a line, which may hold a secret.
 * @throws McpctlError `usage` with the line of the fault.
 */
export function readDocument(text: string): Record<string, unknown> {
  const [first, second] = readDocuments(text);
  if (second)
    throw new McpctlError(
      'usage',
      `A second document begins in line ${second.lineOf([])}; there must be one.`,
    );
  return first?.fields ?? {};
}

/**
 * The same of each of many, one after the other; those that are empty are passed over.
 * @param called the file, for what is said of it.
 */
export function readDocuments(text: string, called?: string): ReadDocument[] {
  const refuse = (sentence: string): McpctlError =>
    new McpctlError('usage', called === undefined ? sentence : `${called}: ${sentence}`);
  if (text.length > MOST_CHARS) throw refuse('The document is larger than 4 MiB.');
  if (/^%/m.test(text)) throw refuse('A line that begins with % is not for documents here.');
  const lines = new LineCounter();
  return parsed(text, { lines, refuse }).flatMap((document) => {
    const [fault] = [...document.errors, ...document.warnings];
    if (fault) {
      const { line } = lines.linePos(fault.pos[0]);
      throw refuse(`Line ${line} is not YAML: ${fault.code.toLowerCase().replaceAll('_', ' ')}.`);
    }
    const { contents } = document;
    if (contents === null || (isScalar(contents) && contents.value === null)) return [];
    if (!isMap(contents)) throw refuse('The document is not a list of fields, each like "name: value".');
    const lineAt = (node: unknown): number =>
      lines.linePos(isNode(node) && node.range ? node.range[0] : (contents.range?.[0] ?? 0)).line;
    const lineOf = (path: readonly string[]): number =>
      lineAt(path.length === 0 ? contents : document.getIn(path, true));
    try {
      return [{ fields: objectSchema.parse(document.toJS({ maxAliasCount: MOST_ALIASES })), lineOf }];
    } catch {
      throw refuse('The document refers to itself more than may be followed.');
    }
  });
}

function parsed(
  text: string,
  { lines, refuse }: { lines: LineCounter; refuse: (sentence: string) => McpctlError },
): readonly Document.Parsed[] {
  try {
    const documents = parseAllDocuments(text, {
      ...{ uniqueKeys: true, stringKeys: true, merge: false, schema: 'core', version: '1.2' },
      ...{ prettyErrors: false, logLevel: 'silent', lineCounter: lines },
    });
    return Array.isArray(documents) ? documents : [];
  } catch {
    throw refuse('The document is nested deeper than can be read.');
  }
}

export const documentOf = (fields: object): string => stringify(fields, { lineWidth: 0 });

/** Each line as a comment. */
export const commented = (text: string): string =>
  text
    .replace(/^(?=.)/gm, '# ')
    .replace(/^$/gm, '#')
    .trimEnd();
