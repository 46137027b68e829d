import { mapElements, spliceMembers } from '../../text/json-text.ts';
import { isJson, jsonObject } from '../parts/reason.ts';
import { wholeOfEvents } from '../whole-of-events.ts';

type Json = Readonly<Record<string, unknown>>;

/** Reasons for which there may be no message: it was filtered, or its limit was used up before. */
const wordless: ReadonlySet<unknown> = new Set([
  'content_filter',
  'length',
  'safety',
  'SAFETY',
  'MAX_TOKENS',
]);

/**
 * A whole chat of which each choice has its message, as clients look into it without asking. One of chunks, as some
 * gateways send where no stream was asked for, is put together; one that says why it holds none has an empty one.
 * Undefined where a choice holds nothing, and no reason for that.
 */
export function withMessages(body: string, choices: readonly unknown[]): string | undefined {
  const lacking = choices.filter((choice) => !isJson(choice) || !isJson(choice['message']));
  if (lacking.length === 0) return body;
  if (lacking.every(isChunk)) return wholeOfEvents('chat', [body]);
  if (!lacking.every((choice) => isJson(choice) && wordless.has(choice['finish_reason']))) return undefined;
  const message = '{"role":"assistant","content":""}';
  const given = (choice: string): string =>
    isJson(jsonObject(choice)?.['message']) ? choice : (spliceMembers(choice, { message }) ?? choice);
  return spliceMembers(body, { choices: (list = '[]') => mapElements(list, given) ?? list });
}

function isChunk(choice: unknown): choice is Json {
  return isJson(choice) && isJson(choice['delta']);
}
