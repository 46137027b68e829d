import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** By whatever name a backend has tools called. */
export type Calls = 'tool_calls' | 'function_call';

/** What backends call an end that is no more than one: OpenAI, TGI, Anthropic's word, and those who took it over. */
const plainEnds: ReadonlySet<string> = new Set(['stop', 'eos', 'eos_token', 'end_turn', 'function_call']);

/** `stop` beside tool calls is the weaker mark, and so is `tool_calls` where there are none. */
export function rightReason(reason: string, calls: Calls | undefined): string {
  if (calls) return plainEnds.has(reason) ? calls : reason;
  return reason === 'tool_calls' || reason === 'function_call' ? 'stop' : reason;
}

/** The same in the words of Messages. */
export function rightStop(reason: string, calls: Calls | undefined): string {
  if (calls) return reason === 'end_turn' ? 'tool_use' : reason;
  return reason === 'tool_use' ? 'end_turn' : reason;
}

/** Some say `"null"` for none. */
export function finishReasonOf(choice: Json): string | undefined {
  const reason = textAt(choice, 'finish_reason');
  return reason === 'null' ? undefined : reason;
}

export function callsIn(piece: Json): Calls | undefined {
  const { tool_calls: tools, function_call: legacy } = piece;
  if (Array.isArray(tools) && tools.length > 0) return 'tool_calls';
  return isJson(legacy) ? 'function_call' : undefined;
}

const texts = ['content', 'text', 'reasoning_content', 'reasoning', 'refusal', 'audio'] as const;

export function bringsText(piece: Json): boolean {
  return texts.some((key) => piece[key] != null && piece[key] !== '');
}

export function textAt(holder: unknown, key: string): string | undefined {
  const value = isJson(holder) ? holder[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}
