import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { streamText } from 'ai';
import OpenAI from 'openai';
import { user } from './door.ts';

export interface Ask {
  baseUrl: string;
  token: string;
  model: string;
  /** Called with each piece of text as it comes. */
  onText?: (text: string) => void;
}

/** What a client made of a streamed chat: as its own users see it. */
export interface Read {
  text: string;
  finish: string | null | undefined;
}

/** Reads one streamed chat; throws whatever its users would see thrown. */
export type Reader = (ask: Ask) => Promise<Read>;

const question = [user('Say it.')];

export const openAiAt = ({ baseUrl, token }: Pick<Ask, 'baseUrl' | 'token'>, maxRetries = 0): OpenAI =>
  new OpenAI({ baseURL: baseUrl, apiKey: token, maxRetries, logLevel: 'off' });

const openAiIterator: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  const { model } = ask;
  for await (const chunk of await openAiAt(ask).chat.completions.create({
    model,
    messages: question,
    stream: true,
  })) {
    const [choice] = chunk.choices;
    read.text += choice?.delta.content ?? '';
    if (choice?.delta.content) ask.onText?.(choice.delta.content);
    read.finish = choice?.finish_reason ?? read.finish;
  }
  return read;
};

/** As the tutorials write it: `choices[0].delta` of every chunk, whatever it is. */
const openAiNaive: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  const { model } = ask;
  for await (const chunk of await openAiAt(ask).chat.completions.create({
    model,
    messages: question,
    stream: true,
  })) {
    const choice = chunk.choices[0] as OpenAI.ChatCompletionChunk.Choice;
    const content = choice.delta.content ?? '';
    read.text += content;
    if (content !== '') ask.onText?.(content);
    read.finish = choice.finish_reason ?? read.finish;
  }
  return read;
};

const openAiHelper: Reader = async (ask) => {
  const helper = openAiAt(ask).chat.completions.stream({ model: ask.model, messages: question });
  helper.on('content', (piece) => ask.onText?.(piece));
  const [choice] = (await helper.finalChatCompletion()).choices;
  return { text: choice?.message.content ?? '', finish: choice?.finish_reason };
};

export const aiSdkAt = ({ baseUrl, token }: Pick<Ask, 'baseUrl' | 'token'>) =>
  createOpenAICompatible({ name: 'mcpctl', baseURL: baseUrl, apiKey: token });

const aiSdk: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  const model = aiSdkAt(ask)(ask.model);
  const { fullStream } = streamText({ model, messages: question, maxRetries: 0, onError: () => undefined });
  for await (const part of fullStream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'text-delta') {
      read.text += part.text;
      ask.onText?.(part.text);
    }
    if (part.type === 'finish') read.finish = part.finishReason;
  }
  return read;
};

export const langChainAt = ({ baseUrl, token, model }: Ask): ChatOpenAI =>
  new ChatOpenAI({
    model,
    apiKey: token,
    maxRetries: 0,
    configuration: { baseURL: baseUrl, logLevel: 'off' },
  });

const langChain: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  for await (const chunk of await langChainAt(ask).stream('Say it.')) {
    read.text += chunk.text;
    if (chunk.text !== '') ask.onText?.(chunk.text);
    const reason: unknown = chunk.response_metadata['finish_reason'];
    if (typeof reason === 'string') read.finish = reason;
  }
  return read;
};

export const postChat = (
  { baseUrl, token, model }: Ask,
  more: object = {},
  init: RequestInit = {},
): Promise<Response> =>
  fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: question, stream: true, ...more }),
    ...init,
  });

interface Chunk {
  choices: [{ delta: { content?: string | null }; finish_reason?: string | null }];
  error?: { message: string };
}

function take(read: Read, ask: Ask, json: string): void {
  const chunk = JSON.parse(json) as Chunk;
  if (chunk.error) throw new TypeError(chunk.error.message);
  const { delta, finish_reason: finish } = chunk.choices[0];
  if (delta.content) ask.onText?.(delta.content);
  read.text += delta.content ?? '';
  read.finish = finish ?? read.finish;
}

/** Hand-written, as in many a web page: blocks between empty lines, and only those that begin with `data: `. */
const blocks: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of (await postChat(ask)).body ?? []) {
    rest += decoder.decode(bytes as Uint8Array, { stream: true });
    const whole = rest.split('\n\n');
    rest = whole.pop() ?? '';
    for (const block of whole) {
      if (!block.startsWith('data: ')) continue;
      if (block === 'data: [DONE]') return read;
      take(read, ask, block.slice(6));
    }
  }
  throw new TypeError('the stream ended without [DONE]');
};

/** Hand-written, as in many a script: every line that is not empty is JSON behind `data: `. */
const lines: Reader = async (ask) => {
  const read: Read = { text: '', finish: null };
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of (await postChat(ask)).body ?? []) {
    rest += decoder.decode(bytes as Uint8Array, { stream: true });
    const whole = rest.split('\n');
    rest = whole.pop() ?? '';
    for (const line of whole) {
      if (line === '') continue;
      if (line === 'data: [DONE]') return read;
      take(read, ask, line.replace(/^data: /, ''));
    }
  }
  throw new TypeError('the stream ended without [DONE]');
};

/** By the name of the llm that each reads. */
export const readers = {
  'openai-iterator': openAiIterator,
  'openai-naive': openAiNaive,
  'openai-helper': openAiHelper,
  'ai-sdk': aiSdk,
  langchain: langChain,
  blocks,
  lines,
} satisfies Record<string, Reader>;
export type ReaderName = keyof typeof readers;
export const readerNames = Object.keys(readers) as ReaderName[];
