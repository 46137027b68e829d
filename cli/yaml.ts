import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  stringify,
  visit,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml';
import { z } from 'zod';
import { McpctlError } from '../core/errors.ts';

/** More than any document of ours, and less than would take long. */
const MOST_BYTES = 4_194_304;
const MOST_ALIASES = 100;
const MOST_DOCUMENTS = 2_000;
const MOST_DEPTH = 64;

const objectSchema = z.record(z.string(), z.unknown());

export interface ReadDocument {
  fields: Record<string, unknown>;
  /** The line, from 1, of what stands at a path; of the document itself where nothing does. */
  lineOf(path: readonly string[]): number;
}

/** Says what is wrong, with the line where that is known. None of it says what stands there, which may be a secret. */
type Refuse = (sentence: string, line?: number) => McpctlError;

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
 * The same of each of many, one after the other, or in a list, or as the `items` of one; those that are empty are passed over.
 * @param called the file, for what is said of it.
 */
export function readDocuments(text: string, called?: string): ReadDocument[] {
  const refuse: Refuse = (sentence, line) =>
    new McpctlError(
      'usage',
      `${called === undefined ? '' : `${called}: `}${line === undefined ? '' : `Line ${line}: `}${sentence}`,
    );
  needReadable(text, refuse);
  const lines = new LineCounter();
  return parsed(text, { lines, refuse }).flatMap((document) => {
    const [fault] = [...document.errors, ...document.warnings];
    if (fault)
      throw refuse(
        `This is not YAML: ${fault.code.toLowerCase().replaceAll('_', ' ')}.`,
        lines.linePos(fault.pos[0]).line,
      );
    const lineAt = (node: unknown): number =>
      lines.linePos(isNode(node) && node.range ? node.range[0] : 0).line;
    needPlain(document, { lineAt, refuse });
    return mapsIn(document, { lineAt, refuse }).map((map): ReadDocument => ({
      fields: fieldsOf(document, map, refuse),
      lineOf: (path) => {
        const node = path.length === 0 ? map : map.getIn(path, true);
        return lineAt(isNode(node) && node.range ? node : map);
      },
    }));
  });
}

/** What need not be parsed to be refused. */
function needReadable(text: string, refuse: Refuse): void {
  if (Buffer.byteLength(text) > MOST_BYTES) throw refuse('The document is larger than 4 MiB.');
  const lineOf = (at: number): number => text.slice(0, at).split('\n').length;
  const directive = /^%/m.exec(text);
  if (directive)
    throw refuse('A line that begins with % is not for documents here.', lineOf(directive.index));
  const control =
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.exec(
      text,
    );
  if (control) throw refuse('A character stands here that no text may have.', lineOf(control.index));
  // A parser would take long to find out.
  const deep = /[[{][\s[{]{256}/.exec(text.replace(/\n/g, ' '));
  if (deep) throw refuse('This is nested deeper than can be read.', lineOf(deep.index));
  let count = 0;
  for (const _ of text.matchAll(/^---/gm)) count += 1;
  if (count > MOST_DOCUMENTS) throw refuse(`There are more than ${MOST_DOCUMENTS} documents.`);
}

interface Where {
  lineAt: (node: unknown) => number;
  refuse: Refuse;
}

/** Nothing that reads as something else than it looks like: no tag, no merge, no number that is not kept. */
function needPlain(document: Document.Parsed, { lineAt, refuse }: Where): void {
  visit(document, {
    Node(_key, node: Node, path) {
      if (path.length > 2 * MOST_DEPTH)
        throw refuse(`This is nested deeper than ${MOST_DEPTH} levels.`, lineAt(node));
      if ('tag' in node && node.tag !== undefined)
        throw refuse('A tag is not for documents here.', lineAt(node));
      if (isScalar(node) && typeof node.value === 'number' && !isKept(node.value, node.source))
        throw refuse('A number here cannot be kept exactly; write it as a text, in quotes.', lineAt(node));
    },
    Pair(_key, { key }) {
      if (!isScalar(key) || typeof key.value !== 'string') return;
      if (key.value === '<<') throw refuse('A merge key (<<) is not for documents here.', lineAt(key));
      if (key.value === '__proto__') throw refuse('A field cannot be called __proto__.', lineAt(key));
    },
  });
}

const isKept = (value: number, source = ''): boolean =>
  Number.isFinite(value) && (/[.eE]/.test(source.replace(/^[-+]?0x/i, '')) || Number.isSafeInteger(value));

/** The maps of a document: itself, those of a list, or of a list under `items`. */
function mapsIn(document: Document.Parsed, { lineAt, refuse }: Where): YAMLMap[] {
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return [];
  const noMap = (node: unknown): McpctlError =>
    refuse('The document is not a list of fields, each like "name: value".', lineAt(node));
  const items = isMap(contents) && !contents.has('resource') ? contents.get('items', true) : contents;
  const list = isSeq(contents) ? contents : items;
  if (!isSeq(list)) {
    if (isMap(contents)) return [contents];
    throw noMap(contents);
  }
  return list.items.map((item) => {
    if (isMap(item)) return item;
    throw noMap(item);
  });
}

function fieldsOf(document: Document.Parsed, map: YAMLMap, refuse: Refuse): Record<string, unknown> {
  try {
    return objectSchema.parse(map.toJS(document, { maxAliasCount: MOST_ALIASES }));
  } catch {
    throw refuse('The document refers to itself more than may be followed.');
  }
}

function parsed(
  text: string,
  { lines, refuse }: { lines: LineCounter; refuse: Refuse },
): readonly Document.Parsed[] {
  const documents = parsedAll(text, { lines, refuse });
  if (documents.length > MOST_DOCUMENTS) throw refuse(`There are more than ${MOST_DOCUMENTS} documents.`);
  return documents;
}

function parsedAll(
  text: string,
  { lines, refuse }: { lines: LineCounter; refuse: Refuse },
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
