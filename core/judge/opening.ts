import type { Operation } from '../llm.ts';
import { isJson } from './parts/reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** What every chunk has, and what gateways put beside an answer that has not begun (Azure's look at the prompt). */
const ofAnyChunk: ReadonlySet<string> = new Set([
  ...['id', 'object', 'created', 'model', 'choices', 'usage', 'system_fingerprint', 'service_tier'],
  ...['provider', 'obfuscation', 'prompt_filter_results'],
]);
const ofAnyChoice: ReadonlySet<string> = new Set(['index', 'delta', 'logprobs', 'finish_reason', 'text']);
/** Events of Responses, before which nothing is to be seen. */
const openings =
  /^response\.(created|queued|in_progress|content_part\.added|reasoning_summary_part\.added)$|^keepalive$/;

/**
 * Whether an event says no more than that an answer is about to begin: a role, the head of a message. Whoever has been
 * shown only such has been shown nothing, so another member may still answer in place of one that fails then.
 */
export function isOpening(operation: Operation, event: Json): boolean {
  switch (operation) {
    case 'chat':
    case 'completions':
      return opensChoices(event);
    case 'messages':
      return opensMessage(event);
    case 'responses':
      return opensResponse(event);
    case 'embeddings':
      return false;
  }
}

function opensChoices(chunk: Json): boolean {
  const { choices } = chunk;
  if (!Array.isArray(choices) || !saysOnly(chunk, ofAnyChunk)) return false;
  return choices.every((choice: unknown) => {
    if (!isJson(choice) || !saysOnly(choice, ofAnyChoice)) return false;
    const { delta, finish_reason: reason, text } = choice;
    if ((!isEmpty(reason) && reason !== 'null') || !isEmpty(text)) return false;
    return (
      isEmpty(delta) ||
      (isJson(delta) && Object.entries(delta).every(([key, value]) => key === 'role' || isEmpty(value)))
    );
  });
}

function opensMessage({ type, content_block: block }: Json): boolean {
  if (type === 'message_start' || type === 'ping') return true;
  if (type !== 'content_block_start' || !isJson(block)) return false;
  return (
    (block['type'] === 'text' && isEmpty(block['text'])) ||
    (block['type'] === 'thinking' && isEmpty(block['thinking']))
  );
}

function opensResponse({ type, item }: Json): boolean {
  if (typeof type !== 'string') return false;
  if (openings.test(type)) return true;
  const kind = isJson(item) ? item['type'] : undefined;
  return type === 'response.output_item.added' && (kind === 'message' || kind === 'reasoning');
}

/** What a protocol has for it, or no more than an empty value. */
function saysOnly(holder: Json, keys: ReadonlySet<string>): boolean {
  return Object.entries(holder).every(([key, value]) => keys.has(key) || isEmpty(value));
}

function isEmpty(value: unknown): boolean {
  return value == null || value === '' || (Array.isArray(value) && value.length === 0);
}
