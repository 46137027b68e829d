import { McpctlError } from '../errors.ts';
import { storableWord } from '../text/storable.ts';
import { translatedOperations, type KeptHead } from '../task/head.ts';
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

interface Asked {
  body: string;
  head: KeptHead;
}

/**
 * What members get: the row keeps what the caller sent, and a translation of that always gives the same.
 * @throws McpctlError `protocol_unsupported` for one that only a newer release can translate.
 */
export function sentBody({ body, head: { translated: from } }: Asked): string {
  if (from === undefined) return body;
  const translation = translatedOperations.find((operation) => operation === from);
  if (translation === undefined)
    throw new McpctlError(
      'protocol_unsupported',
      `Only a newer release can translate what was asked as ${storableWord(from)}.`,
    );
  return JSON.stringify(chatBodyOf(translation, body));
}

/** The body of a task as its member gets it. @returns null when its row is gone. @throws McpctlError `unavailable`. */
export async function memberBody(
  { tasks }: { tasks: { submissionOf: (taskId: string) => Promise<Asked | null | undefined> } },
  taskId: string,
): Promise<string | null> {
  const submission = await tasks.submissionOf(taskId);
  return submission ? sentBody(submission) : null;
}
