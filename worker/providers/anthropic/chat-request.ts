import { z } from 'zod';

/**
 * An OpenAI chat body, as far as Anthropic has words for it. Everything is untrusted and loosely shaped. Made when the first one is
 * read, as most workers have no such backend.
 */

function madeMessage() {
  const urlSchema = z.union([z.string().transform((url) => ({ url })), z.looseObject({ url: z.string() })]);
  const textPart = z.looseObject({ type: z.enum(['text', 'input_text', 'output_text']), text: z.string() });
  const refusalPart = z.looseObject({ type: z.literal('refusal'), refusal: z.string() });
  const imagePart = z.looseObject({ type: z.literal('image_url'), image_url: urlSchema });
  const filePart = z.looseObject({
    type: z.literal('file'),
    file: z.looseObject({ file_data: z.string(), filename: z.string().optional() }),
  });
  const textSchema = z.union([z.string(), z.array(textPart)]);
  const toolCallSchema = z.looseObject({
    id: z.string(),
    function: z.looseObject({ name: z.string(), arguments: z.string().nullish() }),
  });

  return z.discriminatedUnion('role', [
    z.looseObject({ role: z.enum(['system', 'developer']), content: textSchema }),
    z.looseObject({
      role: z.literal('user'),
      content: z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, imagePart, filePart]))]),
    }),
    z.looseObject({
      role: z.literal('assistant'),
      content: z
        .union([z.string(), z.array(z.discriminatedUnion('type', [textPart, refusalPart]))])
        .nullish(),
      tool_calls: z.array(toolCallSchema).nullish(),
    }),
    z.looseObject({
      role: z.literal('tool'),
      tool_call_id: z.string(),
      // OpenAI knows texts alone there; agents put pictures of a screen.
      content: z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, imagePart]))]).nullish(),
    }),
  ]);
}

const madeTool = () =>
  z.looseObject({
    type: z.literal('function'),
    function: z.looseObject({
      name: z.string(),
      description: z.string().nullish(),
      parameters: z.record(z.string(), z.unknown()).nullish(),
      strict: z.boolean().nullish(),
    }),
  });

function madeRequest() {
  const tokens = z.int().positive().nullish();
  return z.looseObject({
    messages: z.array(madeMessage()).min(1),
    max_tokens: tokens,
    max_completion_tokens: tokens,
    temperature: z.number().nullish(),
    top_p: z.number().nullish(),
    stop: z.union([z.string(), z.array(z.string())]).nullish(),
    user: z.string().nullish(),
    tools: z.array(madeTool()).nullish(),
    tool_choice: z
      .union([
        z.enum(['auto', 'none', 'required']),
        z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
      ])
      .nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    reasoning_effort: z.string().nullish(),
    response_format: z
      .discriminatedUnion('type', [
        z.looseObject({ type: z.literal('text') }),
        z.looseObject({
          type: z.literal('json_schema'),
          json_schema: z.looseObject({ schema: z.record(z.string(), z.unknown()) }),
        }),
      ])
      .nullish(),
    // What would change the form of the answer cannot be passed over.
    n: z.literal(1, { error: 'must be 1: Anthropic gives one answer' }).nullish(),
    functions: z
      .array(z.unknown())
      .max(0, { error: 'are of the form before tools, which Anthropic has no words for: send tools' })
      .nullish(),
    modalities: z
      .array(z.literal('text', { error: 'must be text: Anthropic answers with nothing else' }))
      .nullish(),
    logprobs: z.literal(false, { error: 'must be false: Anthropic does not tell them' }).nullish(),
  });
}

export const chatRequestSchema = z.lazy(madeRequest);
export type ChatRequest = z.infer<typeof chatRequestSchema>;
export type ChatMessage = ChatRequest['messages'][number];
export type UserPart = Exclude<Extract<ChatMessage, { role: 'user' }>['content'], string>[number];
