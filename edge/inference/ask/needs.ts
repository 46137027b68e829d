import type { Needs } from '../../../core/member/fit.ts';
import type { Operation } from '../../../core/llm.ts';
import { isJson, listOf, type Json } from '../../../core/translate/json.ts';

export type { Needs };

/** Of English prose. A rule of thumb: code has shorter tokens, and blanks longer ones. */
const BYTES_PER_TOKEN = 4;

const imageTypes = new Set(['image', 'image_url', 'input_image']);

/** What a body asks of a member, as far as it can be told without knowing the model. */
export function needsOf(operation: Operation, body: Json): Needs {
  const tools = listOf(body['tools']).length > 0 || listOf(body['functions']).length > 0;
  const base = { operation, tools, vision: false, tokenIds: false };
  switch (operation) {
    case 'chat':
    case 'messages': {
      const seen = seenIn(listOf(body['messages']));
      const system = seenIn([{ content: body['system'] }]);
      return { ...base, vision: seen.vision, aboutTokens: tokensOf(seen.bytes + system.bytes) };
    }
    case 'responses': {
      const { input } = body;
      const seen = seenIn(typeof input === 'string' ? [{ content: input }] : listOf(input));
      const instructions = seenIn([{ content: body['instructions'] }]);
      return { ...base, vision: seen.vision, aboutTokens: tokensOf(seen.bytes + instructions.bytes) };
    }
    case 'completions':
      return { ...base, ...separately(body['prompt']) };
    case 'embeddings':
      return { ...base, ...separately(body['input']) };
  }
}

const tokensOf = (bytes: number): number => Math.floor(bytes / BYTES_PER_TOKEN);

/** What messages ask of a member that come with others. @param more bytes of texts besides. */
export function needsOfMessages(
  messages: readonly unknown[],
  more: number,
): Pick<Needs, 'vision' | 'aboutTokens'> {
  const { bytes, vision } = seenIn(messages);
  return { vision, aboutTokens: tokensOf(more + bytes) };
}

/** The text of messages, and whether a picture is among them. */
function seenIn(messages: readonly unknown[]): { bytes: number; vision: boolean } {
  let bytes = 0;
  let vision = false;
  for (const message of messages) {
    if (!isJson(message)) continue;
    const { content } = message;
    if (typeof content === 'string') bytes += Buffer.byteLength(content);
    for (const part of listOf(content)) {
      if (!isJson(part)) continue;
      if (typeof part['text'] === 'string') bytes += Buffer.byteLength(part['text']);
      vision ||= typeof part['type'] === 'string' && imageTypes.has(part['type']);
    }
  }
  return { bytes, vision };
}

/** A string, a list of strings, token ids, or lists of them: each is read by itself, so the longest counts. */
function separately(input: unknown): { tokenIds: boolean; aboutTokens: number } {
  if (typeof input === 'string') return { tokenIds: false, aboutTokens: tokensOf(Buffer.byteLength(input)) };
  const items = listOf(input);
  if (typeof items[0] === 'number') return { tokenIds: true, aboutTokens: items.length };
  let aboutTokens = 0;
  let tokenIds = false;
  for (const item of items) {
    // What is neither is for the backend to refuse.
    const bytes = typeof item === 'string' ? Buffer.byteLength(item) : 0;
    const length = Array.isArray(item) ? item.length : tokensOf(bytes);
    tokenIds ||= Array.isArray(item);
    aboutTokens = Math.max(aboutTokens, length);
  }
  return { tokenIds, aboutTokens };
}
