import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** By whatever name a backend has tools called. */
export type Calls = 'tool_calls' | 'function_call';

/** What backends call an end that is no more than one: OpenAI, TGI, Anthropic's word, and those who took it over. */
const plainEnds: ReadonlySet<string> = new Set(['stop', 'eos', 'eos_token', 'end_turn', 'function_call']);

/** Words of others for the ends that chat has: Anthropic's, Gemini's, Cohere's, TGI's, GLM's, Mistral's, Bedrock's. */
const chatWords: ReadonlyMap<string, string> = new Map(
  Object.entries({
    end_turn: 'stop',
    stop_sequence: 'stop',
    eos: 'stop',
    eos_token: 'stop',
    complete: 'stop',
    completed: 'stop',
    finished: 'stop',
    max_tokens: 'length',
    max_length: 'length',
    max_output_tokens: 'length',
    model_length: 'length',
    model_context_window_exceeded: 'length',
    tool_use: 'tool_calls',
    tool_call: 'tool_calls',
    safety: 'content_filter',
    refusal: 'content_filter',
    sensitive: 'content_filter',
    prohibited_content: 'content_filter',
    recitation: 'content_filter',
    blocklist: 'content_filter',
    spii: 'content_filter',
    content_filtered: 'content_filter',
    guardrail_intervened: 'content_filter',
    repetition_truncation: 'length',
  }),
);

/** The others that chat has itself, in whatever letters they are written. */
const ends: ReadonlySet<string> = new Set(['length', 'tool_calls', 'content_filter']);

/** Words of chat for the ends that Messages has. */
const messageWords: ReadonlyMap<string, string> = new Map(
  Object.entries({
    stop: 'end_turn',
    length: 'max_tokens',
    tool_calls: 'tool_use',
    content_filter: 'refusal',
  }),
);

/** What an answer brought beside its text. */
export interface Brought {
  calls?: Calls | undefined;
  /** The arguments of a call are cut off. */
  isCut?: boolean;
}

/**
 * `stop` beside tool calls is the weaker mark, and so is `tool_calls` where there are none; and where the arguments of one
 * are cut off, as whoever runs tools takes them for whole (vLLM says `tool_calls` of what its limit has cut off).
 */
export function rightReason(backendReason: string, { calls, isCut = false }: Brought): string {
  const word = backendReason.toLowerCase();
  const reason = plainEnds.has(word)
    ? word
    : (chatWords.get(word) ?? (ends.has(word) ? word : backendReason));
  if (calls && isCut && (plainEnds.has(reason) || reason === calls)) return 'length';
  if (calls) return plainEnds.has(reason) ? calls : reason;
  return reason === 'tool_calls' || plainEnds.has(reason) ? 'stop' : reason;
}

/** The same in the words of Messages. */
export function rightStop(backendReason: string, { calls, isCut = false }: Brought): string {
  const reason = messageWords.get(backendReason) ?? backendReason;
  if (!calls) return reason === 'tool_use' ? 'end_turn' : reason;
  if (reason !== 'end_turn' && reason !== 'tool_use') return reason;
  return isCut ? 'max_tokens' : 'tool_use';
}

/** Some say `"null"` for none; SGLang's own way is an object, `{"type":"stop","matched":2}`. */
export function finishReasonOf(choice: Json): string | undefined {
  const reason = textAt(choice, 'finish_reason') ?? textAt(choice['finish_reason'], 'type');
  return reason === 'null' ? undefined : reason;
}

/**
 * The reason of a choice that has none where it should be: Gemini's `finishReason` (jakobdylanc/llmcord#84), one within the
 * delta, Anthropic's words where its own would be. vLLM has a `stop_reason` of another meaning: the text it stopped at.
 */
export function asideOf(choice: Json): string | undefined {
  const stop = textAt(choice, 'stop_reason');
  const isKnown = stop !== undefined && (chatWords.has(stop) || plainEnds.has(stop));
  return (
    textAt(choice, 'finishReason') ??
    (isJson(choice['delta']) ? finishReasonOf(choice['delta']) : undefined) ??
    (isKnown ? stop : undefined)
  );
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
