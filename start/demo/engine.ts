import { createRequire } from 'node:module';
import { join } from 'node:path';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { ChatRequest } from './chat-request.ts';
import { createTurns, type Turns } from './turns.ts';

/** llama.cpp with the demo model in it, loaded once for all requests. */
export interface Engine {
  contextLength: number;
  /** Tokens of the prompt that the chat makes. @throws McpctlError `invalid_request` when it makes none. */
  countPrompt(chat: ChatRequest): Promise<number>;
  /** Makes an answer once a slot is free. @throws McpctlError `task_cancelled` when the signal aborts. */
  generate(order: Order): Promise<Generated>;
  /** Lets go of the model. */
  close(): Promise<void>;
}

interface Order {
  chat: ChatRequest;
  maxTokens: number;
  onText: (text: string) => void;
  /** Frees the slot. */
  signal: AbortSignal;
}

export interface Generated {
  /** What the text was, without the tool calls in it. */
  content: string;
  toolCalls: object[];
  tokens: number;
  finishReason: 'stop' | 'length' | 'tool_calls';
}

const contextPerSlot = 2048; // what the model was trained with
const cancelMs = 100;

/**
 * Opens the native library in the folder that `@fugood/llama.node` was installed into, which is where a machine
 * that lacks something shows it. @returns what loads the model.
 */
export async function openEngine(packages: string) {
  const native = createRequire(join(packages, 'package.json'))('@fugood/llama.node') as Native;
  await native.getBackendDevicesInfo();
  return async ({ model, slots }: { model: string; slots: number }): Promise<Engine> => {
    const sizes = { n_ctx: contextPerSlot * slots, n_parallel: slots };
    const context = await native.loadModel({ model, ...sizes, n_threads: 1, n_gpu_layers: 0 });
    await context.parallel.enable({ n_parallel: slots, n_batch: 512 });
    return engineOn(context, createTurns(slots));
  };
}

function engineOn(context: NativeContext, turns: Turns): Engine {
  return {
    contextLength: contextPerSlot,
    async countPrompt(chat) {
      try {
        const { messages, ...rest } = nativeChat(chat);
        const { prompt } = await context.getFormattedChat(messages, null, rest);
        return (await context.tokenize(prompt)).tokens.length;
      } catch (thrown) {
        throw new McpctlError('invalid_request', messageOf(thrown));
      }
    },
    async generate(order) {
      const { signal } = order;
      const giveBack = await turns.take(signal);
      if (!giveBack) throw new McpctlError('task_cancelled');
      try {
        return await run(context, order);
      } finally {
        // The native side lets go of a cancelled request at its next step.
        setTimeout(giveBack, signal.aborted ? cancelMs : 0);
      }
    },
    close: () => context.release(),
  };
}

async function run(context: NativeContext, { chat, maxTokens, onText, signal }: Order): Promise<Generated> {
  let tokens = 0;
  let sent = 0;
  const options = { ...nativeChat(chat), n_predict: maxTokens };
  const { promise, stop } = await context.parallel.completion(options, (_id, { content = '' }) => {
    tokens += 1;
    if (content.length > sent) onText(content.slice(sent));
    sent = Math.max(sent, content.length);
  });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    return generated(await promise, tokens);
  } finally {
    signal.removeEventListener('abort', stop); // stopping what has ended is an error there
  }
}

function generated(result: NativeResult, tokens: number): Generated {
  const ended = result.stopped_eos || result.stopped_word || result.stopped_limit || result.context_full;
  if (!ended) throw new McpctlError('backend_error', 'The demo engine could not run this prompt.');
  const toolCalls = (result.tool_calls ?? []).map((call, n) => ({
    ...call,
    id: call.id || `call_${String(n)}`,
  }));
  const cut = result.stopped_limit || result.context_full;
  const finishReason = toolCalls.length > 0 ? 'tool_calls' : cut ? 'length' : 'stop';
  return { content: result.content ?? '', toolCalls, tokens, finishReason };
}

/** The native side must see no `undefined` and no wrong type: it does not check, it crashes. */
function nativeChat(chat: ChatRequest) {
  const { messages, temperature, topP, seed, stop, tools, toolChoice } = chat;
  return {
    messages,
    jinja: true,
    temperature,
    top_p: topP,
    seed,
    stop,
    ...(tools ? { tools, tool_choice: toolChoice } : {}),
  };
}

interface NativeResult {
  content?: string;
  tool_calls?: { id?: string }[];
  stopped_eos: boolean;
  stopped_word: boolean;
  stopped_limit: boolean;
  context_full: boolean;
}

/** The part of `@fugood/llama.node` that is used here. */
interface Native {
  getBackendDevicesInfo(): Promise<unknown>;
  loadModel(options: object): Promise<NativeContext>;
}

interface NativeContext {
  parallel: {
    enable(options: object): Promise<boolean>;
    completion(
      options: object,
      onToken: (id: number, data: { content?: string }) => void,
    ): Promise<{ promise: Promise<NativeResult>; stop: () => void }>;
  };
  getFormattedChat(messages: unknown, template: null, params: object): Promise<{ prompt: string }>;
  tokenize(text: string): Promise<{ tokens: unknown[] }>;
  release(): Promise<void>;
}
