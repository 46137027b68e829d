import { z } from 'zod';
import { serverCallSchema, type ServerCallView } from '../../core/agent/thread.ts';
import { isErrorCode, McpctlError } from '../../core/errors.ts';
import type { Call, Http } from './http.ts';
import { openEvents } from './sse.ts';

export interface InferCall {
  llm: string;
  /** An OpenAI chat body. */
  body: Readonly<Record<string, unknown>>;
  /** The member of the pool that must answer. */
  pin?: string | undefined;
  /** Gives the answer up: the connection closes, and with it the generation. */
  signal?: AbortSignal;
}

/** What an answer is made of, as it comes. */
export type InferEvent =
  | { kind: 'waiting'; text: string }
  | { kind: 'reasoning'; text: string }
  | { kind: 'text'; text: string }
  /** Tools are called: which, and with what, the thread has once the answer is whole. */
  | { kind: 'calls' }
  /** All that the server has run so far of what was called, and what runs. */
  | { kind: 'server calls'; calls: readonly ServerCallView[] }
  /** The backend has read much less than was sent. */
  | { kind: 'prompt cut' }
  | { kind: 'finish'; reason: string }
  | { kind: 'usage'; promptTokens: number; completionTokens: number };

const text = z.string().nullish().catch(undefined);
/** A chat's delta or message. */
const saysSchema = z.object({
  content: text,
  reasoning_content: text,
  reasoning: text,
  tool_calls: z.array(z.unknown()).nullish().catch(undefined),
});
const answerSchema = z.object({
  choices: z
    .array(
      z.object({ delta: saysSchema.nullish(), message: saysSchema.nullish(), text, finish_reason: text }),
    )
    .nullish()
    .catch(undefined),
  usage: z
    .object({ prompt_tokens: z.number().catch(0), completion_tokens: z.number() })
    .nullish()
    .catch(undefined),
  /** On no-op chunks while the caller waits (docs/spec.md §6). */
  mcpctl: z
    .object({
      state: z.string(),
      position: z.number().nullish(),
      seconds: z.number().nullish(),
      calls: z.array(serverCallSchema).optional().catch(undefined),
    })
    .nullish()
    .catch(undefined),
  error: z.object({ message: z.string(), code: z.string().nullish() }).nullish(),
});

/** The edge holds the status for a while; after that headers come at once. */
export const ADMISSION_MS = 60_000;
/** An answer in one piece may queue for 10 min and run for 6 h (docs/spec.md §5). */
export const ONCE_MS = (6 * 60 + 15) * 60_000;

/** The answer token by token. Ends after `[DONE]`; @throws what the server says, and when it ends without. */
export async function* inferStream(http: Http, call: InferCall): AsyncGenerator<InferEvent> {
  const body = { ...call.body, stream: true, stream_options: { include_usage: true } };
  const { events, taskId } = await openEvents(http, { ...callOf(call, body), limitMs: ADMISSION_MS });
  for await (const { data } of events) {
    if (data === '[DONE]') return;
    yield* eventsOf(data, taskId);
  }
  throw new McpctlError('bad_answer', 'The stream ended before the answer was complete.');
}

/** The answer in one piece, as the same events. */
export async function* inferOnce(http: Http, call: InferCall): AsyncGenerator<InferEvent> {
  const answer = await http.json({ ...callOf(call, { ...call.body, stream: false }), limitMs: ONCE_MS });
  yield* eventsOf(JSON.stringify(answer));
}

/** @returns the task as the server accepted it (202). */
export async function inferAsync(http: Http, call: InferCall): Promise<unknown> {
  const made = callOf(call, { ...call.body, stream: false });
  return http.json({ ...made, headers: { ...made.headers, prefer: 'respond-async' } });
}

function callOf(call: InferCall, body: unknown): Call {
  return {
    method: 'POST',
    path: `/api/v1/llms/${encodeURIComponent(call.llm)}/infer`,
    body,
    headers: {
      accept: 'text/event-stream, application/json',
      ...(call.pin === undefined ? {} : { 'x-mcpctl-pin': call.pin }),
    },
    ...(call.signal ? { signal: call.signal } : {}),
  };
}

/** What one event's data, or a whole answer, says. @throws the error that it carries. */
export function* eventsOf(data: string, taskId: string | null = null): Generator<InferEvent> {
  const chunk = parsed(data);
  if (chunk.error) {
    const { message, code } = chunk.error;
    const extra = taskId === null ? {} : { taskId };
    throw code && isErrorCode(code)
      ? new McpctlError(code, message, extra)
      : new McpctlError('backend_error', code ? `${message} [${code}]` : message, extra);
  }
  const { calls } = chunk.mcpctl ?? {};
  if (calls) yield { kind: 'server calls', calls };
  else if (chunk.mcpctl) yield { kind: 'waiting', text: waitingText(chunk.mcpctl) };
  for (const choice of chunk.choices ?? []) {
    const says = choice.delta ?? choice.message;
    const reasoning = says?.reasoning_content ?? says?.reasoning;
    if (reasoning) yield { kind: 'reasoning', text: reasoning };
    const content = says?.content ?? choice.text;
    if (content) yield { kind: 'text', text: content };
    if (says?.tool_calls?.length) yield { kind: 'calls' };
    if (choice.finish_reason) yield { kind: 'finish', reason: choice.finish_reason };
  }
  if (chunk.usage) {
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = chunk.usage;
    yield { kind: 'usage', promptTokens, completionTokens };
  }
}

function parsed(data: string): z.infer<typeof answerSchema> {
  try {
    return answerSchema.parse(JSON.parse(data));
  } catch (thrown) {
    throw new McpctlError('bad_answer', 'The server sent an answer that was not understood.', {
      cause: thrown,
    });
  }
}

/** `queued 3`, `waking 12 s`, `running`. */
function waitingText({
  state,
  position,
  seconds,
}: NonNullable<z.infer<typeof answerSchema>['mcpctl']>): string {
  const words = [state];
  if (typeof position === 'number') words.push(String(position));
  if (typeof seconds === 'number') words.push(`${Math.round(seconds)} s`);
  return words.join(' ');
}
