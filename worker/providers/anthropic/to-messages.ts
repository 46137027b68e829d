import { createHash } from 'node:crypto';
import { jsonObject } from '../../../core/judge/parts/reason.ts';
import { chatRequestSchema, type ChatMessage, type ChatRequest, type UserPart } from './chat-request.ts';
import { CallIds } from './ids.ts';
import { enforcedSchema } from './schemas.ts';
import { sourceOf } from './source.ts';
import { Tools } from './tools.ts';

type Block = Readonly<Record<string, unknown>>;
interface Turn {
  role: 'user' | 'assistant';
  content: Block[];
}

/** `tools`: what the answer may call, and how it is called. */
export type Translated = { body: string; tools: Tools } | { fault: string };

export interface Given {
  /** Of an answer, where the caller gives no limit: Anthropic wants one. */
  maxTokens: number;
  /** What the model can answer with, where that is known: a limit beyond it is refused, and would be none. */
  mostTokens?: number | undefined;
  streaming: boolean;
}

/**
 * The Messages body for an OpenAI chat body. `model` is left for the splice. Parameters that only tune sampling
 * and that Anthropic does not have (`seed`, penalties, `logit_bias`) are passed over, as its own compatible path does;
 * values that it would refuse, where others take them, become such as it takes.
 */
export function toMessages(text: string, given: Given): Translated {
  const parsed = chatRequestSchema.safeParse(jsonObject(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { fault: `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'not understood'}.` };
  }
  const chat = parsed.data;
  const system = chat.messages.flatMap((m) =>
    m.role === 'system' || m.role === 'developer' ? textBlocks(m.content) : [],
  );
  const tools = new Tools(chat);
  const maxTokens = chat.max_completion_tokens ?? chat.max_tokens ?? given.maxTokens;
  const body = {
    ...(system.length > 0 ? { system } : {}),
    messages: turnsOf(chat.messages, tools),
    max_tokens: Math.min(maxTokens, given.mostTokens ?? maxTokens),
    ...samplingOf(chat),
    ...stopsOf(chat.stop),
    ...(given.streaming ? { stream: true } : {}),
    ...userOf(chat.user),
    ...toolsOf(chat, tools),
    ...outputOf(chat),
  };
  // Half of a pair of characters, as cut texts end with, is no text there (anthropics/claude-code#3277).
  const whole = /\\u[dD][89a-fA-F]/.test(text) ? wellFormed : undefined;
  return { body: JSON.stringify(body, whole), tools };
}

const wellFormed = (_: string, value: unknown): unknown =>
  typeof value === 'string' ? value.toWellFormed() : value;

/** OpenAI's temperature reaches 2. Newer models take one of the two alone (Vali-98/ChatterUI#564); what is usual says nothing. */
function samplingOf({ temperature, top_p: topP }: ChatRequest): object {
  const warm = temperature == null ? undefined : Math.min(temperature, 1);
  if (topP == null) return warm === undefined ? {} : { temperature: warm };
  if (warm === undefined || (warm === 1 && topP < 1)) return { top_p: topP };
  return { temperature: warm };
}

const MOST_USER = 256;
const looksLikeAPerson = /@|^\+?[\d\s().-]{7,}$/;

/** Addresses and numbers of people are refused, and what is long (BerriAI/litellm#10106): it is as good by another name. */
function userOf(user: ChatRequest['user']): object {
  if (user == null || user.trim() === '') return {};
  const isTaken = user.length <= MOST_USER && !looksLikeAPerson.test(user);
  return { metadata: { user_id: isTaken ? user : createHash('sha256').update(user).digest('base64url') } };
}

/** Said where a conversation must begin with a user, and did not. */
const BEGIN: Block = { type: 'text', text: '(The conversation begins.)' };

function turnsOf(messages: readonly ChatMessage[], tools: Tools): Turn[] {
  const turns: Turn[] = [];
  const ids = new CallIds();
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
        const content = partBlocks(message.content ?? '');
        say('user', [{ type: 'tool_result', tool_use_id: ids.resultOf(message.tool_call_id), content }]);
        break;
      }
      case 'assistant':
        say('assistant', assistantBlocks(message, { tools, ids }));
        break;
    }
  }
  if (turns[0]?.role !== 'user') turns.unshift({ role: 'user', content: [BEGIN] });
  return withoutTail(answered(turns).map(inOrder));
}

/**
 * Each call with its result right behind it, once, and no result without a call: what was broken off, or cut from the
 * front of a long conversation, is refused for ever (Kilo-Org/kilocode#5163, decocms/studio#1803).
 */
function answered(turns: readonly Turn[]): Turn[] {
  const all: Turn[] = [];
  let open = new Set<string>();
  for (const { role, content } of [...turns, { role: 'user', content: [] } as Turn]) {
    if (role === 'assistant') {
      open = new Set(content.flatMap((block) => (block['type'] === 'tool_use' ? [String(block['id'])] : [])));
      all.push({ role, content });
      continue;
    }
    const results = new Map<string, Block[]>();
    const rest: Block[] = [];
    for (const block of content) {
      const id = String(block['tool_use_id']);
      const before = results.get(id);
      if (block['type'] !== 'tool_result') rest.push(block);
      else if (!open.has(id)) rest.push(...contentOf(block));
      else if (before) before.push(...contentOf(block));
      else results.set(id, [...contentOf(block)]);
    }
    const ordered = [
      ...[...results].map(([id, parts]) => ({ type: 'tool_result', tool_use_id: id, content: parts })),
      ...[...open].filter((id) => !results.has(id)).map(unanswered),
      ...rest,
    ];
    if (ordered.length > 0) all.push({ role, content: ordered });
    open = new Set();
  }
  return all;
}

const contentOf = (block: Block): Block[] =>
  Array.isArray(block['content']) ? (block['content'] as Block[]) : [];

const unanswered = (id: string): Block => ({
  type: 'tool_result',
  tool_use_id: id,
  content: [{ type: 'text', text: 'It was broken off: there is no result.' }],
  is_error: true,
});

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

type ToolContent = NonNullable<Extract<ChatMessage, { role: 'tool' }>['content']>;
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

/** What a tool came to. */
function partBlocks(content: ToolContent): Block[] {
  if (typeof content === 'string') return textBlocks(content);
  return content.flatMap((part) => userBlocks(part));
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

function assistantBlocks(
  message: Extract<ChatMessage, { role: 'assistant' }>,
  { tools, ids }: { tools: Tools; ids: CallIds },
): Block[] {
  const calls = (message.tool_calls ?? []).map(({ id, function: called }) => ({
    type: 'tool_use',
    id: ids.called(id),
    name: tools.sent(called.name),
    input: tools.sentInput(called.name, inputOf(called.arguments)),
  }));
  return [...textBlocks(message.content ?? ''), ...calls];
}

/** What a model once called a tool with, and was no object, is told as Anthropic says that it be told. */
function inputOf(json: string | null | undefined): Block {
  const text = json?.trim() ?? '';
  if (text === '' || text === 'null') return {};
  return jsonObject(text) ?? { INVALID_JSON: text };
}

function toolsOf(chat: ChatRequest, tools: Tools): object {
  const { tool_choice: choice, parallel_tool_calls: parallel } = chat;
  const declared = tools.declared();
  if (declared.length === 0) return {};
  // Those of a conversation that has none any more are not to be called.
  if (!chat.tools || chat.tools.length === 0) return { tools: declared, tool_choice: { type: 'none' } };
  const single = parallel === false ? { disable_parallel_tool_use: true } : {};
  return {
    tools: declared,
    ...(choice == null && parallel !== false
      ? {}
      : { tool_choice: choiceOf(choice ?? 'auto', { single, tools }) }),
  };
}

function choiceOf(
  choice: NonNullable<ChatRequest['tool_choice']>,
  { single, tools }: { single: object; tools: Tools },
): object {
  switch (choice) {
    case 'none':
      return { type: 'none' };
    case 'auto':
      return { type: 'auto', ...single };
    case 'required':
      return { type: 'any', ...single };
    default:
      return { type: 'tool', name: tools.sent(choice.function.name), ...single };
  }
}

/** Of OpenAI's words those that Anthropic has not, as the nearest that all of its models take. */
const efforts: Readonly<Record<string, string>> = { minimal: 'low', none: 'low', xhigh: 'high' };

function outputOf({ response_format: format, reasoning_effort: effort }: ChatRequest): object {
  const config = {
    ...(effort == null ? {} : { effort: Object.hasOwn(efforts, effort) ? efforts[effort] : effort }),
    ...(format?.type === 'json_schema'
      ? { format: { type: 'json_schema', schema: enforcedSchema(format.json_schema.schema) } }
      : {}),
  };
  return Object.keys(config).length > 0 ? { output_config: config } : {};
}
