import { jsonObject } from '../../../core/judge/parts/reason.ts';
import { anthropicId, ToolNames } from './ids.ts';
import { chatRequestSchema, type ChatMessage, type ChatRequest, type UserPart } from './chat-request.ts';

type Block = Readonly<Record<string, unknown>>;
interface Turn {
  role: 'user' | 'assistant';
  content: Block[];
}

/** `names`: of tools, as the answer has them. */
export type Translated = { body: string; names: ToolNames } | { fault: string };

/**
 * The Messages body for an OpenAI chat body. `model` is left for the splice. Parameters that only tune sampling
 * and that Anthropic does not have (`seed`, penalties, `logit_bias`) are passed over, as its own compatible path does.
 * @param given `maxTokens` where the caller gives no limit: Anthropic wants one.
 */
export function toMessages(text: string, given: { maxTokens: number; streaming: boolean }): Translated {
  const parsed = chatRequestSchema.safeParse(jsonObject(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { fault: `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not understood'}.` };
  }
  const chat = parsed.data;
  const system = chat.messages.flatMap((m) =>
    m.role === 'system' || m.role === 'developer' ? textBlocks(m.content) : [],
  );
  const names = new ToolNames(namesIn(chat));
  const turns = turnsOf(chat.messages, names);
  if ('fault' in turns) return turns;
  const { temperature, top_p, user, stop } = chat;
  const body = {
    ...(system.length > 0 ? { system } : {}),
    messages: turns.turns,
    max_tokens: chat.max_completion_tokens ?? chat.max_tokens ?? given.maxTokens,
    ...(temperature == null ? {} : { temperature: Math.min(temperature, 1) }), // OpenAI's reaches 2
    ...(top_p == null ? {} : { top_p }),
    ...stopsOf(stop),
    ...(given.streaming ? { stream: true } : {}),
    ...(user == null ? {} : { metadata: { user_id: user } }),
    ...toolsOf(chat, names),
    ...outputOf(chat),
  };
  return { body: JSON.stringify(body), names };
}

function namesIn({ messages, tools, tool_choice: choice }: ChatRequest): string[] {
  const called = messages.flatMap((message) =>
    message.role === 'assistant' ? (message.tool_calls ?? []).map((call) => call.function.name) : [],
  );
  const chosen = typeof choice === 'object' && choice !== null ? [choice.function.name] : [];
  return [...(tools ?? []).map((tool) => tool.function.name), ...called, ...chosen];
}

function turnsOf(messages: readonly ChatMessage[], names: ToolNames): { turns: Turn[] } | { fault: string } {
  const turns: Turn[] = [];
  const say = (role: Turn['role'], content: Block[]): void => {
    if (content.length === 0) return;
    const last = turns.at(-1);
    // All results of one round of tools belong into one message.
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  };
  for (const message of messages) {
    switch (message.role) {
      case 'system':
      case 'developer':
        break;
      case 'user': {
        const { content } = message;
        say('user', typeof content === 'string' ? textBlocks(content) : content.flatMap(userBlocks));
        break;
      }
      case 'tool': {
        const content = textBlocks(message.content ?? '');
        say('user', [{ type: 'tool_result', tool_use_id: anthropicId(message.tool_call_id), content }]);
        break;
      }
      case 'assistant': {
        const blocks = assistantBlocks(message, names);
        if (!blocks) return { fault: 'messages: the arguments of a tool call are not a JSON object.' };
        say('assistant', blocks);
        break;
      }
    }
  }
  const ordered = turns.map(inOrder);
  return ordered.length > 0
    ? { turns: withoutTail(ordered) }
    : { fault: 'messages: one of a user is needed.' };
}

/** Anthropic takes what tools came to before anything else of a turn. */
function inOrder({ role, content }: Turn): Turn {
  const results = content.filter(({ type }) => type === 'tool_result');
  return { role, content: [...results, ...content.filter(({ type }) => type !== 'tool_result')] };
}

/** An answer that is to be gone on with must not end with space: Anthropic refuses it. */
function withoutTail(turns: Turn[]): Turn[] {
  const last = turns.at(-1);
  if (last?.role !== 'assistant') return turns;
  const content = last.content.map((block, at) =>
    at === last.content.length - 1 && typeof block['text'] === 'string'
      ? { ...block, text: block['text'].trimEnd() }
      : block,
  );
  return [...turns.slice(0, -1), { ...last, content }];
}

type Parts = readonly Exclude<
  NonNullable<Extract<ChatMessage, { role: 'assistant' }>['content']>,
  string
>[number][];

/** Anthropic refuses sequences of nothing but space; as they cannot be said to it they are passed over. */
function stopsOf(stop: ChatRequest['stop']): object {
  const stops = (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text.trim() !== '');
  return stops.length > 0 ? { stop_sequences: stops } : {};
}

/** Anthropic refuses blocks of no text, and of space alone. */
function textBlocks(content: string | Parts): Block[] {
  const texts = typeof content === 'string' ? [content] : content.map(textOf);
  return texts.filter((text) => text.trim() !== '').map((text) => ({ type: 'text', text }));
}

function textOf(part: Parts[number]): string {
  return part.type === 'refusal' ? part.refusal : part.text;
}

function userBlocks(part: UserPart): Block[] {
  switch (part.type) {
    case 'image_url':
      return [{ type: 'image', source: sourceOf(part.image_url.url) }];
    case 'file':
      return [{ type: 'document', source: sourceOf(part.file.file_data) }];
    case 'text':
    case 'input_text':
    case 'output_text':
      return textBlocks(part.text);
  }
}

/** A `data:` URL travels inside the request; any other is fetched by Anthropic, never by us. */
function sourceOf(url: string): Block {
  const [, mediaType, data] = /^data:([^;,]+)(?:;[^;,]+)*?;base64,(.*)$/is.exec(url) ?? [];
  if (mediaType === undefined) return { type: 'url', url };
  return { type: 'base64', media_type: mediaType, data };
}

function assistantBlocks(
  message: Extract<ChatMessage, { role: 'assistant' }>,
  names: ToolNames,
): Block[] | undefined {
  const blocks = textBlocks(message.content ?? '');
  for (const { id, function: called } of message.tool_calls ?? []) {
    const input = jsonObject(called.arguments?.trim() || '{}');
    if (!input) return undefined;
    blocks.push({ type: 'tool_use', id: anthropicId(id), name: names.anthropic(called.name), input });
  }
  return blocks;
}

function toolsOf(
  { tools, tool_choice: choice, parallel_tool_calls: parallel }: ChatRequest,
  names: ToolNames,
): object {
  if (!tools || tools.length === 0) return {};
  const single = parallel === false ? { disable_parallel_tool_use: true } : {};
  return {
    tools: tools.map(({ function: { name, description, parameters, strict } }) => ({
      name: names.anthropic(name),
      ...(description == null ? {} : { description }),
      // A schema without a type is one of anything to others, and none to Anthropic.
      input_schema: { type: 'object', ...(parameters ?? { properties: {} }) },
      ...(strict === true ? { strict } : {}),
    })),
    ...(choice == null && parallel !== false
      ? {}
      : { tool_choice: choiceOf(choice ?? 'auto', { single, names }) }),
  };
}

function choiceOf(
  choice: NonNullable<ChatRequest['tool_choice']>,
  { single, names }: { single: object; names: ToolNames },
): object {
  switch (choice) {
    case 'none':
      return { type: 'none' };
    case 'auto':
      return { type: 'auto', ...single };
    case 'required':
      return { type: 'any', ...single };
    default:
      return { type: 'tool', name: names.anthropic(choice.function.name), ...single };
  }
}

const efforts: Readonly<Record<string, string>> = { minimal: 'low', none: 'low' };

function outputOf({ response_format: format, reasoning_effort: effort }: ChatRequest): object {
  const config = {
    ...(effort == null ? {} : { effort: Object.hasOwn(efforts, effort) ? efforts[effort] : effort }),
    ...(format?.type === 'json_schema'
      ? { format: { type: 'json_schema', schema: format.json_schema.schema } }
      : {}),
  };
  return Object.keys(config).length > 0 ? { output_config: config } : {};
}
