import { z } from 'zod';

const text = z.string().refine((s) => s.isWellFormed(), 'must not contain lone surrogates');

/** A message's content: text, or parts of text. The demo model sees no images. */
const contentSchema = z.union([
  text,
  z
    .array(z.looseObject({ type: z.literal('text', 'only parts of type "text" are understood'), text }))
    .transform((parts) => parts.map((part) => part.text).join('')),
]);

const toolCallSchema = z.looseObject({
  function: z.looseObject({ name: text, arguments: z.string().default('{}') }),
});

const messageSchema = z
  .looseObject({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
    content: contentSchema.nullish(),
    tool_calls: z.array(toolCallSchema).nullish(),
  })
  .refine((m) => m.content != null || (m.role === 'assistant' && m.tool_calls != null), {
    path: ['content'],
    error: 'is required',
  })
  .transform(({ role, content, tool_calls: calls }) => ({
    role: role === 'developer' ? 'system' : role,
    content: content ?? '',
    ...(calls && calls.length > 0
      ? { tool_calls: calls.map((call) => ({ ...call, type: 'function' })) }
      : {}),
  }));

const toolSchema = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({ name: text, parameters: z.record(z.string(), z.unknown()).optional() }),
});

/** OpenAI's chat body, as far as the demo engine understands it; the rest is ignored. */
export const chatRequestSchema = z
  .looseObject({
    model: z.string().nullish(),
    messages: z.array(messageSchema, "'messages' is required, and a list").min(1),
    stream: z.boolean().nullish(),
    stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
    max_tokens: z.int().min(1).nullish(),
    max_completion_tokens: z.int().min(1).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    seed: z.int().nullish(),
    stop: z.union([text, z.array(text).max(4)]).nullish(),
    n: z.literal(1, 'only one choice is made').nullish(),
    tools: z.array(toolSchema).nullish(),
    tool_choice: z.union([z.enum(['auto', 'none', 'required']), z.looseObject({})]).nullish(),
  })
  .transform((body) => ({
    model: body.model ?? undefined,
    messages: body.messages,
    streaming: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    temperature: body.temperature ?? 0.8,
    topP: body.top_p ?? 0.95,
    seed: Math.abs(body.seed ?? -1) <= 0x7fffffff ? (body.seed ?? -1) : -1,
    stop: [body.stop ?? []].flat().filter((word) => word !== ''),
    tools: body.tools && body.tools.length > 0 && body.tool_choice !== 'none' ? body.tools : undefined,
    toolChoice: body.tool_choice === 'required' ? 'required' : 'auto',
  }));

export type ChatRequest = z.infer<typeof chatRequestSchema>;
