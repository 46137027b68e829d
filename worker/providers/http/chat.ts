import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { jsonObject } from '../../../core/judge/parts/reason.ts';
import type { Usage } from '../../../core/task/task.ts';
import type {
  CompletionDelta,
  CompletionOptions,
  CompletionResult,
  ForwardCall,
  LlmProvider,
  ProviderFailure,
  Reply,
} from '../provider.ts';

/** Between OpenAI's chat bodies and the plain shapes of `complete` and `stream`. */

type End = Extract<Reply, { kind: 'end' }>;

const noUsage: Usage = { promptTokens: 0, completionTokens: 0, totalTokens: 0 };
const partSchema = z.looseObject({
  content: z.string().nullish(),
  reasoning: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: z.array(z.unknown()).nullish(),
});
const answerSchema = z.looseObject({
  choices: z.array(z.looseObject({ message: partSchema.nullish(), delta: partSchema.nullish() })),
});

/** `complete` and `stream` of a provider whose `forward` answers a chat in OpenAI's form. */
export function chatOver(
  forward: (call: ForwardCall) => AsyncIterable<Reply>,
  stallMs = 120_000,
): Required<Pick<LlmProvider, 'complete' | 'stream'>> {
  const ask = (options: CompletionOptions, streaming: boolean): AsyncIterable<Reply> => {
    const { model, signal } = options;
    const body = chatBody(options, streaming);
    return forward({ operation: 'chat', body, streaming, headers: {}, model, stallMs, signal });
  };
  return {
    async complete(options) {
      for await (const reply of ask(options, false)) {
        if (reply.kind === 'failed') throw errorOf(reply);
        if (reply.kind === 'end') return resultOf(reply);
      }
      throw new McpctlError('backend_error');
    },
    async *stream(options) {
      for await (const reply of ask(options, true)) {
        if (reply.kind === 'failed') throw errorOf(reply);
        if (reply.kind === 'event') yield* deltaOf(reply.data);
        else if (reply.kind === 'events') for (const data of reply.data) yield* deltaOf(data);
        else yield lastDelta(reply);
      }
    },
  };
}

function chatBody(options: CompletionOptions, streaming: boolean): string {
  const { messages, temperature, maxTokens, tools } = options;
  return JSON.stringify({ messages, temperature, max_tokens: maxTokens, tools, stream: streaming });
}

function errorOf({ code, message, retryAfterS }: ProviderFailure): McpctlError {
  return new McpctlError(code, message, retryAfterS === undefined ? {} : { retryAfterS });
}

function resultOf(end: End): CompletionResult {
  const message = answerSchema.safeParse(jsonObject(end.body ?? '')).data?.choices[0]?.message;
  if (!message) throw new McpctlError('backend_error', 'The backend answered without a message.');
  return {
    content: message.content ?? '',
    toolCalls: message.tool_calls ?? [],
    usage: end.usage ?? noUsage,
    finishReason: end.finishReason ?? 'stop',
  };
}

/** The delta in an event; none where it only says the role or the usage. */
function* deltaOf(data: string): Generator<CompletionDelta> {
  const delta = answerSchema.safeParse(jsonObject(data)).data?.choices[0]?.delta;
  if (!delta) return;
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  const piece: CompletionDelta = {
    ...(delta.content ? { content: delta.content } : {}),
    ...(reasoning ? { reasoning } : {}),
    ...(delta.tool_calls?.length ? { toolCalls: delta.tool_calls } : {}),
  };
  if (Object.keys(piece).length > 0) yield piece;
}

function lastDelta({ usage, finishReason }: End): CompletionDelta {
  return { finishReason: finishReason ?? 'stop', ...(usage === undefined ? {} : { usage }) };
}
