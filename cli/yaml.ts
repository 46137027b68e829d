import { isMap, parseDocument, stringify, type Document } from 'yaml';
import { z } from 'zod';
import { McpctlError } from '../core/errors.ts';

/** More than any document of ours, and less than would take long. */
const MOST_CHARS = 4_194_304;
const MOST_ALIASES = 100;

const objectSchema = z.record(z.string(), z.unknown());

/**
 * One document of fields. Strict: no directive and no tag changes what is read, no key is there twice, and no error repeats
 * a line, which may hold a secret.
 * @throws McpctlError `usage` with the line of the fault.
 */
export function readDocument(text: string): Record<string, unknown> {
  if (text.length > MOST_CHARS) throw new McpctlError('usage', 'The document is larger than 4 MiB.');
  if (/^%/m.test(text))
    throw new McpctlError('usage', 'A line that begins with % is not for documents here.');
  const document = parsed(text);
  const [fault] = [...document.errors, ...document.warnings];
  if (fault) {
    const line = text.slice(0, fault.pos[0]).split('\n').length;
    throw new McpctlError(
      'usage',
      `Line ${line} is not YAML: ${fault.code.toLowerCase().replaceAll('_', ' ')}.`,
    );
  }
  if (document.contents === null) return {};
  if (!isMap(document.contents))
    throw new McpctlError('usage', 'The document is not a list of fields, each like "name: value".');
  try {
    return objectSchema.parse(document.toJS({ maxAliasCount: MOST_ALIASES }));
  } catch {
    throw new McpctlError('usage', 'The document refers to itself more than may be followed.');
  }
}

function parsed(text: string): Document.Parsed {
  try {
    return parseDocument(text, {
      ...{ uniqueKeys: true, stringKeys: true, merge: false, schema: 'core', version: '1.2' },
      ...{ prettyErrors: false, logLevel: 'silent' },
    });
  } catch {
    throw new McpctlError('usage', 'The document is nested deeper than can be read.');
  }
}

export const documentOf = (fields: object): string => stringify(fields, { lineWidth: 0 });

/** Each line as a comment. */
export const commented = (text: string): string =>
  text
    .replace(/^(?=.)/gm, '# ')
    .replace(/^$/gm, '#')
    .trimEnd();
