import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { chatRequestSchema } from './chat-request.ts';
import type { Engine, Generated } from './engine.ts';
import { demoModelId } from './model.ts';
export interface ChatDeps {
  engine: Engine;
  clock: Clock;
}

/** Answers `POST /v1/chat/completions`. A caller who leaves frees the slot at once. */
export async function answerChat(
  { engine, clock }: ChatDeps,
  body: unknown,
  res: ServerResponse,
): Promise<void> {
  const parsed = chatRequestSchema.safeParse(body);
  if (!parsed.success) return refuse(res, parsed.error.issues[0]);
  const chat = parsed.data;
  const promptTokens = await engine.countPrompt(chat);
  const room = engine.contextLength - promptTokens;
  if (room < 1) return refuseLength(res, promptTokens, engine.contextLength);
  if (res.destroyed) return;
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(clock.now() / 1000),
    model: chat.model ?? demoModelId,
  };
  const stream = chat.streaming ? openStream(res, head) : undefined;
  const leave = new AbortController();
  res.on('close', () => leave.abort());
  const made = await engine.generate({
    chat,
    maxTokens: Math.min(chat.maxTokens ?? room, room),
    onText: (text) => stream?.delta({ content: text }),
    signal: leave.signal,
  });
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: made.tokens,
    total_tokens: promptTokens + made.tokens,
  };
  if (stream) stream.end(made, chat.includeUsage ? usage : undefined);
  else sendJson(res, 200, whole(head, made, usage));
}

function whole(head: object, { content, toolCalls, finishReason }: Generated, usage: object): object {
  const calls = toolCalls.length > 0 ? { tool_calls: toolCalls } : {};
  const message = { role: 'assistant', content: toolCalls.length > 0 ? null : content, ...calls };
  return {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: finishReason }],
    usage,
  };
}

/** The stream's first chunk goes with the first token: until then a failure can still be a status. */
function openStream(res: ServerResponse, head: object) {
  const write = (choices: object[], more: object = {}): void => {
    if (!res.headersSent) {
      res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    }
    const chunk = { ...head, object: 'chat.completion.chunk', choices, ...more };
    res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  const choice = (delta: object, finish: string | null = null): void =>
    write([{ index: 0, delta, finish_reason: finish }]);
  const delta = (piece: object): void => {
    if (!res.headersSent) choice({ role: 'assistant', content: '' });
    choice(piece);
  };
  return {
    delta,
    end({ toolCalls, finishReason }: Generated, usage: object | undefined): void {
      if (toolCalls.length > 0) delta({ tool_calls: toolCalls.map((call, index) => ({ index, ...call })) });
      if (!res.headersSent) choice({ role: 'assistant', content: '' });
      choice({}, finishReason);
      if (usage) write([], { usage });
      res.end('data: [DONE]\n\n');
    },
  };
}

function refuse(res: ServerResponse, issue: { path: PropertyKey[]; message: string } | undefined): void {
  const param = issue?.path.join('.') ?? '';
  sendError(res, 400, {
    message: `${param === '' ? 'The body' : param}: ${issue?.message ?? 'is wrong'}`,
    param,
  });
}

/** As llama.cpp's own server says it. */
function refuseLength(res: ServerResponse, promptTokens: number, contextLength: number): void {
  const message =
    `The prompt has ${String(promptTokens)} tokens; ` + `this model's context is ${String(contextLength)}.`;
  const counts = { n_prompt_tokens: promptTokens, n_ctx: contextLength };
  sendError(res, 400, { message, type: 'exceed_context_size_error', ...counts });
}

/** What went wrong with a chat after all, as an answer or, mid-stream, as an event. */
export function failChat(res: ServerResponse, thrown: unknown): void {
  if (res.destroyed) return;
  const ours = thrown instanceof McpctlError ? thrown : new McpctlError('internal');
  if (!res.headersSent) return sendError(res, ours.status === 400 ? 400 : 500, { message: ours.message });
  res.end(
    `data: ${JSON.stringify({ error: { message: ours.message, type: 'server_error', code: 500 } })}\n\n`,
  );
}

export function sendJson(res: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  res
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

/** An error as OpenAI's clients read it. */
export function sendError(
  res: ServerResponse,
  status: number,
  error: { message: string; [more: string]: unknown },
): void {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  sendJson(res, status, { error: { type, param: null, code: status, ...error } });
}
