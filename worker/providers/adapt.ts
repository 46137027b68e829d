import { rightReason } from '../../core/judge/parts/choice.ts';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import type { Usage } from '../../core/task/task.ts';
import { failed } from './failed.ts';
import { startPatience, wholeAnswerFactor, type Patience } from './patience.ts';
import type {
  CompletionDelta,
  CompletionOptions,
  ForwardCall,
  LlmProvider,
  MemberCall,
  Reply,
} from './provider.ts';
import { jsonValue } from '../../core/text/json-text.ts';

/**
 * `forward` of any provider, so that a claim is run in one way: the provider's own, or one made from `stream`
 * or `complete`. A provider with only `complete` serves a streaming caller with one delta, then the end.
 * What is made serves chat alone; other operations fail as `no_capable_member`.
 * @internal
 */
export function asForward(provider: LlmProvider): (call: ForwardCall) => AsyncIterable<Reply> {
  return (call) => (provider.forward ? provider.forward(call) : adapted(provider, call));
}

/** How a member serves its tasks: by `run` where there is one, else each as an inference. */
export function asMember(provider: LlmProvider): (call: MemberCall) => AsyncIterable<Reply> {
  const forward = asForward(provider);
  return ({ operation, ...call }) => {
    if (provider.run) return provider.run({ operation, ...call });
    return operation === 'mcp' ? noTools() : forward({ operation, ...call });
  };
}

/** It was sent here by mistake, and another member is asked. */
async function* noTools(): AsyncGenerator<Reply, void, undefined> {
  yield await Promise.resolve(failed('no_capable_member'));
}

const chatSchema = z.looseObject({
  messages: z.array(z.record(z.string(), z.unknown())),
  temperature: z.number().nullish(),
  max_tokens: z.number().nullish(),
  max_completion_tokens: z.number().nullish(),
  tools: z.array(z.unknown()).nullish(),
});

interface Run {
  provider: LlmProvider;
  options: CompletionOptions;
  call: ForwardCall;
  patience: Patience;
}

async function* adapted(provider: LlmProvider, call: ForwardCall): AsyncGenerator<Reply, void, undefined> {
  if (call.operation !== 'chat') return yield failed('no_capable_member');
  const chat = chatSchema.safeParse(jsonValue(call.body));
  if (!chat.success) return yield failed('invalid_request', 'The request has no list of messages.');
  const patience = startPatience(call.signal);
  const { temperature, max_completion_tokens: max, max_tokens: maxTokens = max, tools } = chat.data;
  const options: CompletionOptions = {
    model: call.model,
    messages: chat.data.messages,
    ...(temperature == null ? {} : { temperature }),
    ...(maxTokens == null ? {} : { maxTokens }),
    ...(tools == null ? {} : { tools }),
    signal: patience.signal,
  };
  const run = { provider, options, call, patience };
  try {
    if (call.streaming) yield* streamed(run);
    else yield await whole(run);
  } catch (thrown) {
    yield patience.failure() ?? failureOf(thrown);
  } finally {
    patience.stop(); // also when nobody reads on
  }
}

async function* streamed(run: Run): AsyncGenerator<Reply, void, undefined> {
  const { provider, options, call, patience } = run;
  const chunk = chunksOf(call.model);
  const deltas = (provider.stream?.(options) ?? oneDelta(run))[Symbol.asyncIterator]();
  let last: CompletionDelta = {};
  let calls = false;
  let role: object = { role: 'assistant' };
  const next = async (): Promise<CompletionDelta | undefined> => {
    patience.wait(provider.stream ? call.stallMs : call.stallMs * wholeAnswerFactor);
    const result = await unlessAborted(deltas.next(), patience.signal);
    patience.rest(); // whoever takes the event may take its time
    return result.done === true ? undefined : result.value;
  };
  try {
    for (let delta = await next(); delta; delta = await next()) {
      const { usage, finishReason, ...piece } = delta;
      last = { ...last, ...(usage && { usage }), ...(finishReason !== undefined && { finishReason }) };
      if (Object.keys(piece).length === 0) continue;
      calls ||= (piece.toolCalls?.length ?? 0) > 0;
      yield chunk([{ index: 0, delta: { ...role, ...deltaBody(piece) }, finish_reason: null }]);
      role = {};
    }
  } finally {
    deltas.return?.().catch(() => undefined); // how it stops is its own affair
  }
  const { usage } = last;
  if (last.finishReason === undefined) return yield failed('backend_incomplete');
  const finishReason = rightReason(last.finishReason, calls ? { calls: 'tool_calls' } : {});
  yield chunk([{ index: 0, delta: role, finish_reason: finishReason }]);
  if (usage) yield chunk([], { usage: usageBody(usage) });
  yield { kind: 'end', status: 200, finishReason, ...(usage && { usage }) };
}

async function* oneDelta({ provider, options }: Run): AsyncGenerator<CompletionDelta, void, undefined> {
  const { content, toolCalls, usage, finishReason } = await provider.complete(options);
  yield { content, ...(toolCalls.length > 0 && { toolCalls }), usage, finishReason };
}

async function whole({ provider, options, call, patience }: Run): Promise<Reply> {
  patience.wait(call.stallMs * wholeAnswerFactor);
  const answer = await unlessAborted(provider.complete(options), patience.signal);
  const { content, toolCalls, usage } = answer;
  const finishReason = rightReason(answer.finishReason, toolCalls.length > 0 ? { calls: 'tool_calls' } : {});
  const calls = toolCalls.length > 0 ? { tool_calls: toolCalls } : {};
  const message = { role: 'assistant', content, ...calls };
  const body = JSON.stringify({
    ...headOf(call.model),
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: finishReason }],
    usage: usageBody(usage),
  });
  return { kind: 'end', status: 200, body, finishReason, usage };
}

function headOf(model: string): object {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(systemClock.now() / 1000), model };
}

function chunksOf(model: string): (choices: object[], more?: object) => Reply {
  const head = { ...headOf(model), object: 'chat.completion.chunk' };
  return (choices, more) => ({ kind: 'event', data: JSON.stringify({ ...head, choices, ...more }) });
}

function deltaBody({ content, reasoning, toolCalls }: CompletionDelta): object {
  return {
    ...(content === undefined ? {} : { content }),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(toolCalls ? { tool_calls: toolCalls.map((c, index) => ({ index, ...(c as object) })) } : {}),
  };
}

function usageBody({ promptTokens, completionTokens, totalTokens }: Usage): object {
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: totalTokens };
}

/** A provider may ignore its signal; its caller does not wait for that. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new McpctlError('task_cancelled'));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function failureOf(thrown: unknown): Reply {
  if (!(thrown instanceof McpctlError)) return failed('backend_error'); // its message may say too much
  const { code, message, retryAfterS } = thrown;
  return failed(code, message, retryAfterS === undefined ? {} : { retryAfterS });
}
