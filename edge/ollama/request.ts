import { z } from 'zod';
import type { Json } from '../../core/translate/json.ts';
import { contentOf, imagePart, responseFormat, textPart } from '../../core/translate/parts.ts';

/** Bodies of Ollama's calls (api.md of its docs), as far as an OpenAI body has words for them. */

const images = z.array(z.string()).max(64).nullish();
const option = z.number().nullish();
const shared = {
  model: z.string().min(1).max(256),
  stream: z.boolean().nullish(),
  /** `json`, or a JSON schema. */
  format: z.union([z.literal(''), z.literal('json'), z.record(z.string(), z.unknown())]).nullish(),
  options: z
    .looseObject({
      temperature: option,
      top_p: option,
      top_k: option,
      min_p: option,
      seed: option,
      num_predict: option,
      presence_penalty: option,
      frequency_penalty: option,
      repeat_penalty: option,
      stop: z.union([z.string(), z.array(z.string())]).nullish(),
    })
    .nullish(),
  think: z.union([z.boolean(), z.string()]).nullish(),
};

const callSchema = z.looseObject({
  id: z.string().nullish(),
  function: z.looseObject({ name: z.string(), arguments: z.unknown().optional() }),
});
const messageSchema = z.looseObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  images,
  tool_calls: z.array(callSchema).nullish(),
  tool_call_id: z.string().nullish(),
  tool_name: z.string().nullish(),
});
export const chatSchema = z.looseObject({
  ...shared,
  messages: z.array(messageSchema).nullish(),
  tools: z.array(z.looseObject({})).nullish(),
});
export const generateSchema = z.looseObject({
  ...shared,
  prompt: z.string().nullish(),
  system: z.string().nullish(),
  images,
  suffix: z.literal('', { error: 'is not served here: use /v1/completions' }).nullish(),
  raw: z.literal(false, { error: 'is not served here: use /v1/completions' }).nullish(),
  context: z.array(z.number()).nullish(),
});
export const embedSchema = z.looseObject({
  model: shared.model,
  input: z.union([z.string(), z.array(z.string()).min(1)]),
  dimensions: z.number().nullish(),
});
/** The older call. */
export const embeddingsSchema = z.looseObject({ model: shared.model, prompt: z.string() });
export const showSchema = z.looseObject({ model: z.string().optional(), name: z.string().optional() });

type Chat = z.infer<typeof chatSchema>;
type Generate = z.infer<typeof generateSchema>;

export function chatOf(body: Chat): Json {
  const { tools } = body;
  return {
    ...paramsOf(body),
    messages: messagesOf(body.messages ?? []),
    ...(tools && tools.length > 0 ? { tools } : {}),
  };
}

export function chatOfGenerate(body: Generate): Json {
  const { system, prompt, images: seen } = body;
  const user = { role: 'user' as const, content: prompt ?? '', images: seen };
  const all = system ? [{ role: 'system' as const, content: system }, user] : [user];
  return { ...paramsOf(body), messages: messagesOf(all) };
}

/** Nothing to say only asks for the model to be loaded. */
export const isOnlyLoading = ({ messages, prompt }: Chat | Generate): boolean =>
  (!Array.isArray(messages) || messages.length === 0) && !prompt;

function messagesOf(messages: readonly z.infer<typeof messageSchema>[]): Json[] {
  /** Calls that wait for their results: Ollama's results name a call by its tool, or not at all, and then come in order. */
  let waiting: { id: string; name: string }[] = [];
  const resultOf = ({ tool_call_id: id, tool_name: name }: z.infer<typeof messageSchema>, at: number) => {
    const named = waiting.findIndex((call) => (id == null ? call.name === name : call.id === id));
    const [call] = waiting.splice(Math.max(0, named), 1);
    return id ?? call?.id ?? `call_${String(at)}`;
  };
  return messages.map((message, at) => {
    const { role, content, images: seen, tool_calls: calls } = message;
    if (role === 'tool') return { role, content: content ?? '', tool_call_id: resultOf(message, at) };
    const text = content ? [textPart(content)] : [];
    const parts = [...text, ...(seen ?? []).map((image) => imagePart(dataUrl(image)))];
    if (role !== 'assistant' || !calls || calls.length === 0) return { role, content: contentOf(parts) };
    const tool_calls = calls.map(({ id, function: { name, arguments: args } }, n) => ({
      id: id ?? `call_${String(at)}_${String(n)}`,
      type: 'function',
      function: { name, arguments: typeof args === 'string' ? args : JSON.stringify(args ?? {}) },
    }));
    waiting = tool_calls.map(({ id, function: { name } }) => ({ id, name }));
    return { role, content: contentOf(parts), tool_calls };
  });
}

/** Ollama's pictures are base64 alone; the first bytes say of what kind. */
function dataUrl(image: string): string {
  if (image.startsWith('data:')) return image;
  const kinds: [string, string][] = [
    ['/9j/', 'jpeg'],
    ['R0lG', 'gif'],
    ['UklG', 'webp'],
  ];
  const kind = kinds.find(([begins]) => image.startsWith(begins))?.[1] ?? 'png';
  return `data:image/${kind};base64,${image}`;
}

function paramsOf({ model, stream, format, options, think }: Chat | Generate): Json {
  const { num_predict: most, repeat_penalty, ...same } = options ?? {};
  const names = [
    'temperature',
    'top_p',
    'top_k',
    'min_p',
    'seed',
    'presence_penalty',
    'frequency_penalty',
    'stop',
  ];
  const shared = Object.entries(same).filter(([name, value]) => names.includes(name) && value != null);
  const schema =
    typeof format === 'object' && format !== null ? { type: 'json_schema', schema: format } : null;
  return {
    model,
    stream: stream ?? true,
    ...Object.fromEntries(shared),
    // -1 and -2: as long as it likes.
    ...(most != null && most > 0 ? { max_tokens: most } : {}),
    ...(repeat_penalty == null ? {} : { repeat_penalty }),
    ...(typeof think === 'string'
      ? { reasoning_effort: think }
      : think === false
        ? { reasoning_effort: 'none' }
        : {}),
    ...responseFormat(format === 'json' ? { type: 'json_object' } : schema),
  };
}
