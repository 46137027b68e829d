import { z } from 'zod';
import { isJson, type Json } from './json.ts';

/** Pieces of an OpenAI chat body, as translations put them together. */

export type ChatPart = Json & { type: 'text' | 'image_url' | 'file' | 'input_audio' };
export interface ChatCall {
  id: string;
  name: string;
  /** JSON, as text. */
  arguments: string;
}

/** What stands in the way of a translation, and where. */
export class Untranslatable extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

export const textPart = (text: string): ChatPart => ({ type: 'text', text });
/** Chat knows no more than `high`; Codex asks for `original`. */
export const imagePart = (url: string, detail?: string): ChatPart => ({
  type: 'image_url',
  image_url: { url, ...(detail === undefined ? {} : { detail: detail === 'original' ? 'high' : detail }) },
});
export const filePart = (file: Json): ChatPart => ({ type: 'file', file });

/** A text that does not understand lists of parts is never given one where it need not be. */
export function contentOf(parts: readonly ChatPart[]): string | readonly ChatPart[] {
  return parts.every((part) => part.type === 'text')
    ? parts.map((part) => String(part['text'])).join('\n')
    : parts;
}

const schemaFormat = z.looseObject({
  name: z.string().nullish(),
  schema: z.record(z.string(), z.unknown()),
  strict: z.boolean().nullish(),
});

/** `response_format` for a format as Responses (`text.format`) and Messages (`output_config.format`) write it. */
export function responseFormat(format: unknown): Json {
  if (!isJson(format)) return {};
  if (format['type'] === 'json_object') return { response_format: { type: 'json_object' } };
  const described = format['type'] === 'json_schema' ? schemaFormat.safeParse(format).data : undefined;
  if (!described) return {};
  const { name, schema, strict } = described;
  const json_schema = { name: name ?? 'answer', schema, ...(strict == null ? {} : { strict }) };
  return { response_format: { type: 'json_schema', json_schema } };
}
