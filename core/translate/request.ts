import type { Operation, TaskOperation } from '../llm.ts';
import { chatOfMessages } from './messages-request.ts';
import { isJson, type Json } from './json.ts';
import { Untranslatable } from './parts.ts';
import { chatOfResponses } from './responses-request.ts';

/** What can be asked of a member that speaks chat alone. */
export type Translated = Extract<Operation, 'responses' | 'messages'>;

const ways = { responses: chatOfResponses, messages: chatOfMessages } satisfies Record<
  Translated,
  (body: Json) => Json
>;

export function isTranslated(operation: TaskOperation): operation is Translated {
  return operation === 'responses' || operation === 'messages';
}

/**
 * The chat body that asks the same. The same text always gives the same: a task that a lost Redis forgot is
 * translated again from its row.
 * @throws Untranslatable
 */
export function chatBodyOf(operation: Translated, text: string): Json {
  const body: unknown = JSON.parse(text);
  if (!isJson(body)) throw new Untranslatable('', 'must be an object');
  return ways[operation](body);
}
