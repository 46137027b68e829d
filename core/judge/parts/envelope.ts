import { memberText } from '../../text/json-text.ts';
import type { Operation } from '../../llm.ts';
import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** The list that a whole answer to each operation has. */
export const listOf: Readonly<Record<Operation, string>> = {
  chat: 'choices',
  completions: 'choices',
  embeddings: 'data',
  responses: 'output',
  messages: 'content',
};

/** Where gateways put an answer that they wrap: `{"code":0,"message":"success","data":{…}}`, Cloudflare's `result`. */
const envelopes = ['data', 'result', 'response', 'body'] as const;

/** The answer, or the event, within what a gateway has put around it, as the text it is; undefined where there is none. */
export function unwrapped(text: string, value: Json, operation: Operation): string | undefined {
  const list = listOf[operation];
  if (Array.isArray(value[list])) return undefined;
  const key = envelopes.find((one) => isJson(value[one]) && Array.isArray(value[one][list]));
  return key && memberText(text, key);
}
