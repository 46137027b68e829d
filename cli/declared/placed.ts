import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import type { Context } from '../who/context.ts';
import { readDocuments, type ReadDocument } from '../yaml.ts';
import { readFiles } from './files.ts';

/** A document, and the file that it is in. */
export interface Placed extends ReadDocument {
  called: string;
}

/** A document as it is sent: with its word, which the server asks for. */
export type Sent = { resource: string } & Record<string, unknown>;

const sentSchema = z.looseObject({ resource: z.string() });

/** Where a document begins, as a person finds it. */
export const placeOf = (placed: Placed): string => `${placed.called}:${placed.lineOf([])}`;

/** @throws McpctlError `usage` for one without its word. */
export function sentOf(placed: Placed): Sent {
  const { success, data } = sentSchema.safeParse(placed.fields);
  if (success) return data;
  throw new McpctlError(
    'usage',
    `${placeOf(placed)}: The document does not say what it is about, like "resource: project".`,
  );
}

/** Every document of files. @throws McpctlError `usage` for what cannot be read; with nothing of its text. */
export async function placedIn(
  ctx: Context,
  asked: { files: readonly string[]; recursive: boolean },
): Promise<Placed[]> {
  const placed: Placed[] = [];
  for (const { called, text } of await readFiles(ctx, asked))
    for (const document of readDocuments(text, called)) placed.push({ ...document, called });
  return placed;
}

/** The server's faults, each with the file and line that it is about instead of the number of a document. */
export function inPlace(error: McpctlError, placed: readonly Placed[]): McpctlError {
  const details = error.details?.map(({ path, message }) => {
    const [, at = '', field = ''] = /^documents\.(\d+)(?:\.(.*))?$/.exec(path) ?? [];
    const document = at === '' ? undefined : placed[Number(at)];
    if (!document) return { path, message: inWords(message, placed) };
    const place = `${document.called}:${document.lineOf(field.split('.').filter((part) => part !== ''))}`;
    return { path: field === '' ? place : `${place} ${field}`, message: inWords(message, placed) };
  });
  return new McpctlError(error.code, error.message, details ? { details } : {});
}

export const inWords = (message: string, placed: readonly Placed[]): string =>
  message
    .replace(/^documents\.(\d+)/, (text, at: string) => {
      const own = placed[Number(at)];
      return own ? placeOf(own) : text;
    })
    .replace(/\bdocuments\.(\d+)/g, (text, at: string) => {
      const other = placed[Number(at)];
      return other ? `the one at ${placeOf(other)}` : text;
    });
