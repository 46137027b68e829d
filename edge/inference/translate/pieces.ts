import { z } from 'zod';
import { jsonObject } from '../../../core/judge/reason.ts';
import type { Json } from '../../../core/translate/json.ts';

/** What one chunk of a chat answer, or a whole one, brings. */
export type Piece =
  | { kind: 'text' | 'refusal' | 'reasoning'; text: string }
  | { kind: 'call'; index: number; id?: string; name?: string; arguments: string }
  | { kind: 'finish'; reason: string }
  | { kind: 'usage'; usage: ChatUsage };

export interface ChatUsage {
  prompt: number;
  completion: number;
  cached: number;
  reasoning: number;
}

const text = z.string().nullish().catch(null);
const count = z.number().nonnegative().catch(0).default(0);

/** Some backends give what stands for a JSON text as the value itself. */
const argumentsSchema = z
  .union([z.string(), z.looseObject({}).transform((value) => JSON.stringify(value))])
  .nullish()
  .catch(null);

const callSchema = z.looseObject({
  index: z.int().nonnegative().optional().catch(undefined),
  id: text,
  function: z.looseObject({ name: text, arguments: argumentsSchema }).catch({}).default({}),
});

const messageSchema = z.looseObject({
  content: z
    .union([
      z.string(),
      z.array(z.looseObject({ text })).transform((all) => all.map((p) => p.text ?? '').join('')),
    ])
    .nullish()
    .catch(null),
  refusal: text,
  reasoning_content: text,
  reasoning: text,
  tool_calls: z.array(callSchema).nullish().catch(null),
});

const usageSchema = z.looseObject({
  prompt_tokens: count,
  completion_tokens: count,
  prompt_tokens_details: z.looseObject({ cached_tokens: count }).nullish().catch(null),
  completion_tokens_details: z.looseObject({ reasoning_tokens: count }).nullish().catch(null),
});

const answerSchema = z.looseObject({
  choices: z.array(
    z.looseObject({
      index: z.int().optional().catch(undefined),
      delta: messageSchema.nullish().catch(null),
      message: messageSchema.nullish().catch(null),
      finish_reason: text,
    }),
  ),
  usage: usageSchema.nullish().catch(null),
});

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
  const parsed = answerSchema.safeParse(chatIn(data));
  if (!parsed.success) return undefined;
  const { choices, usage } = parsed.data;
  const choice = choices.find(({ index }) => index === undefined || index === 0);
  const said = choice?.delta ?? choice?.message;
  return [
    ...(said ? saidIn(said) : []),
    ...(choice?.finish_reason ? [{ kind: 'finish' as const, reason: choice.finish_reason }] : []),
    ...(usage ? [{ kind: 'usage' as const, usage: usageOf(usage) }] : []),
  ];
}

function saidIn(message: z.infer<typeof messageSchema>): Piece[] {
  const { content, refusal, tool_calls: calls } = message;
  const reasoning = message.reasoning_content ?? message.reasoning;
  const pieces: Piece[] = [];
  if (reasoning) pieces.push({ kind: 'reasoning', text: reasoning });
  if (content) pieces.push({ kind: 'text', text: content });
  if (refusal) pieces.push({ kind: 'refusal', text: refusal });
  calls?.forEach(({ index, id, function: { name, arguments: said } }, at) =>
    pieces.push({
      kind: 'call',
      index: index ?? at,
      ...(id ? { id } : {}),
      ...(name ? { name } : {}),
      arguments: said ?? '',
    }),
  );
  return pieces;
}

function usageOf(usage: z.infer<typeof usageSchema>): ChatUsage {
  return {
    prompt: usage.prompt_tokens,
    completion: usage.completion_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}
