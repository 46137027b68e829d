import { z } from 'zod';
import { chatId } from './ids.ts';
import type { Tools } from './tools.ts';
import type { Usage } from '../../../core/task/task.ts';

/** From Anthropic's answers to OpenAI's. What is not understood is passed over: Anthropic adds kinds of blocks. */

const reasons: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

export function finishReasonOf(stopReason: string | undefined): string {
  return (stopReason !== undefined && Object.hasOwn(reasons, stopReason) && reasons[stopReason]) || 'stop';
}

const usageSchema = z
  .looseObject({ cache_read_input_tokens: z.number().nullish() })
  .optional()
  .catch(undefined);

export function usageBody(usage: Usage | undefined, cached: number | undefined): object {
  const { promptTokens = 0, completionTokens = 0, totalTokens = 0 } = usage ?? {};
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: totalTokens,
    ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
  };
}

export function cachedIn(usage: unknown): number | undefined {
  return usageSchema.parse(usage)?.cache_read_input_tokens ?? undefined;
}

/** Made when the first answer is read, as most workers have no such backend. */
const answerSchema = z.lazy(() => {
  const blockSchema = z
    .discriminatedUnion('type', [
      z.looseObject({ type: z.literal('text'), text: z.string() }),
      z.looseObject({ type: z.literal('thinking'), thinking: z.string() }),
      z.looseObject({
        type: z.literal('tool_use'),
        id: z.string(),
        name: z.string(),
        input: z.unknown().optional(),
      }),
    ])
    .optional()
    .catch(undefined);
  return z.looseObject({
    id: z.string().catch(''),
    content: z.array(blockSchema),
    stop_reason: z.string().nullish(),
    usage: z.unknown().optional(),
  });
});

export interface Head {
  /** Seconds. */
  created: number;
  model: string;
  /** Of the request. */
  tools: Tools;
}

function callOf(
  { id, name: sent, input }: { id: string; name: string; input?: unknown },
  tools: Tools,
): object {
  const name = tools.asked(sent);
  const json = JSON.stringify(tools.askedInput(name, input ?? {}));
  return { id: chatId(id), type: 'function', function: { name, arguments: json } };
}

/** The body of a `chat.completion` for a whole Messages answer; undefined when it is none. */
export function chatCompletion(
  answer: unknown,
  { created, model, tools, usage }: Head & { usage: Usage | undefined },
): string | undefined {
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success) return undefined;
  const { id, content, stop_reason: stopReason, usage: usageReported } = parsed.data;
  const joined = (texts: readonly string[]): string | null => (texts.length > 0 ? texts.join('') : null);
  const text = joined(content.flatMap((block) => (block?.type === 'text' ? [block.text] : [])));
  const thought = joined(content.flatMap((block) => (block?.type === 'thinking' ? [block.thinking] : [])));
  const calls = content.flatMap((block) => (block?.type === 'tool_use' ? [callOf(block, tools)] : []));
  const message = {
    role: 'assistant',
    content: text,
    refusal: null,
    ...(thought === null ? {} : { reasoning_content: thought }),
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
  };
  const finish = finishReasonOf(stopReason ?? undefined);
  return JSON.stringify({
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    usage: usageBody(usage, cachedIn(usageReported)),
  });
}
