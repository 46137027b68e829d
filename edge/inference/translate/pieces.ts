import { countAt, countsOf } from '../../../core/judge/parts/usage.ts';
import { isJson, jsonObject } from '../../../core/judge/parts/reason.ts';
import { listOf, stringOf, type Json } from '../../../core/translate/json.ts';

/** What one chunk of a chat answer, or a whole one, brings. */
export type Piece =
  | { kind: 'text' | 'refusal' | 'reasoning'; text: string }
  | { kind: 'call'; index: number; id?: string; name?: string; arguments: string }
  | { kind: 'finish'; reason: string; stop?: string }
  | { kind: 'usage'; usage: ChatUsage };

export interface ChatUsage {
  prompt: number;
  completion: number;
  cached: number;
  reasoning: number;
}

/** What a member answers tells in which protocol it spoke: chat alone has `choices`, and no `type`. */
export function isChat(data: string): boolean {
  return chatIn(data) !== undefined;
}

function chatIn(data: string): Json | undefined {
  // Looked for before parsing: a member's own events pass as the text they are.
  if (!data.includes('"choices"')) return undefined;
  const json = jsonObject(data);
  return json && Array.isArray(json['choices']) && typeof json['type'] !== 'string' ? json : undefined;
}

/** The pieces of a chat completion, or of a chunk of one, of its first choice; undefined when the text is neither. */
export function piecesOf(data: string): Piece[] | undefined {
  const chat = chatIn(data);
  if (!chat) return undefined;
  const pieces: Piece[] = [];
  const choice = listOf(chat['choices']).find(isFirst);
  if (choice) {
    saidIn(jsonAt(choice, 'delta') ?? jsonAt(choice, 'message') ?? {}, pieces);
    const reason = choice['finish_reason'];
    if (typeof reason === 'string' && reason !== '')
      pieces.push({ kind: 'finish', reason, ...stopIn(choice) });
  }
  const usage = jsonAt(chat, 'usage');
  if (usage) pieces.push({ kind: 'usage', usage: usageOf(usage) });
  return pieces;
}

function isFirst(choice: unknown): choice is Json {
  return isJson(choice) && (!Number.isInteger(choice['index']) || choice['index'] === 0);
}

function jsonAt(holder: Json, key: string): Json | undefined {
  const value = holder[key];
  return isJson(value) ? value : undefined;
}

/** The caller's sequence that ended it: vLLM says `stop_reason`, SGLang `matched_stop`; of a token they say its id. */
function stopIn(choice: Json): { stop?: string } {
  const stop = choice['stop_reason'] ?? choice['matched_stop'];
  return typeof stop === 'string' && stop !== '' ? { stop } : {};
}

function saidIn(message: Json, pieces: Piece[]): void {
  const reasoning = thoughtIn(message);
  const content = textIn(message['content']);
  const refusal = stringOf(message['refusal']);
  if (reasoning) pieces.push({ kind: 'reasoning', text: reasoning });
  if (content) pieces.push({ kind: 'text', text: content });
  if (refusal) pieces.push({ kind: 'refusal', text: refusal });
  let at = 0;
  for (const call of listOf(message['tool_calls'])) {
    if (isJson(call)) pieces.push(callIn(call, at));
    at += 1;
  }
  // The form before tools; beside them it says the same again.
  const legacy = jsonAt(message, 'function_call');
  if (legacy && at === 0) pieces.push(callIn({ function: legacy }, 0));
}

/** By the names that it has: vLLM's, OpenRouter's and its details', Ollama's. */
function thoughtIn(message: Json): string {
  const { reasoning, reasoning_details: details } = message;
  const thought = [message['reasoning_content'], reasoning, message['thinking']].map(stringOf).find(Boolean);
  return thought ?? (textIn(isJson(reasoning) ? [{ text: reasoning['content'] }] : details) || '');
}

/** A string, or a list of parts, of which those with a text count. */
function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .map((part) => (isJson(part) ? (stringOf(part['text']) ?? '') : ''))
    .join('');
}

/** @param at where it stands among the calls: its index, where it says none. */
function callIn(call: Json, at: number): Piece {
  const called = jsonAt(call, 'function') ?? {};
  const { index } = call;
  const [id, name] = [stringOf(call['id']), stringOf(called['name'])];
  return {
    kind: 'call',
    index: typeof index === 'number' && Number.isSafeInteger(index) && index >= 0 ? index : at,
    ...(id ? { id } : {}),
    ...(name ? { name } : {}),
    arguments: argumentsIn(called['arguments']),
  };
}

/** Some backends give what stands for a JSON text as the value itself. */
function argumentsIn(value: unknown): string {
  if (typeof value === 'string') return value;
  return isJson(value) ? JSON.stringify(value) : '';
}

/** OpenAI and its kin count what was cached, and what was thought, in details; DeepSeek and Moonshot beside them. */
function usageOf(usage: Json): ChatUsage {
  const prompt = jsonAt(usage, 'prompt_tokens_details') ?? {};
  const completion = jsonAt(usage, 'completion_tokens_details') ?? {};
  const counts = countsOf(usage);
  return {
    prompt: counts.prompt ?? 0,
    completion: counts.completion ?? 0,
    cached:
      countAt(prompt, 'cached_tokens') ??
      countAt(usage, 'prompt_cache_hit_tokens') ??
      countAt(usage, 'cached_tokens') ??
      0,
    reasoning: countAt(completion, 'reasoning_tokens') ?? countAt(usage, 'reasoning_tokens') ?? 0,
  };
}
