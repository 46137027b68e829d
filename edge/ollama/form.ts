import { chatNames } from '../../core/translate/chat-values.ts';
import type { McpctlError } from '../../core/errors.ts';
import { isJson, jsonObject } from '../../core/judge/parts/reason.ts';
import type { Usage } from '../../core/task/task.ts';
import { listOf, type Json } from '../../core/translate/json.ts';
import { ollamaErrorBody, toldLate } from '../http/error-body.ts';
import { ChunkForm } from '../inference/form/chunks.ts';
import type { Form, FormOptions, Frame, WaitState } from '../inference/form/form.ts';
import { chatUsageOf } from '../inference/translate/form.ts';
import { BlockOrder, type Block, type Step } from '../inference/translate/blocks.ts';
import { piecesOf, type ChatUsage, type Piece } from '../inference/translate/pieces.ts';

export type OllamaCall = 'chat' | 'generate';

/**
 * Chat as Ollama says it: lines of JSON, the last of which is `done` and says how many tokens it took and how long, in
 * nanoseconds. A call of a tool is one line, when its arguments are whole. What only a backend knows (loading, the
 * time of the prompt) is 0; all of the time from the first line on counts as that of the answer.
 */
export class OllamaForm implements Form {
  readonly lines = true;
  readonly #call: OllamaCall;
  readonly #options: FormOptions;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #chunks: ChunkForm;
  readonly #order: BlockOrder;
  #firstAt: number | undefined;
  #reason = 'stop';
  #usage: ChatUsage | undefined;

  /** @param now milliseconds that only grow, and when the call came by it. */
  constructor(
    call: OllamaCall,
    options: FormOptions,
    { now, startedAt }: { now: () => number; startedAt: number },
  ) {
    this.#call = call;
    this.#options = options;
    this.#now = now;
    this.#startedAt = startedAt;
    this.#chunks = new ChunkForm('chat', { ...options, wantsUsage: true });
    this.#order = new BlockOrder(options.taskId, chatNames(options.toolNames));
  }

  event(data: string): Frame[] {
    const pieces = this.#chunks.event(data).flatMap((chunk) => piecesOf(chunk.data) ?? []);
    return this.#take(pieces).map((piece) => this.#line(piece, {}));
  }

  keepAlive(_wait: WaitState): Frame {
    return this.#line({}, {});
  }

  last(usage: Usage | null): Frame[] {
    this.#usage ??= chatUsageOf(usage) ?? undefined;
    const pieces = this.#order.end().flatMap((step) => this.#piecesOf(step));
    return [...pieces.map((piece) => this.#line(piece, {})), this.#line({}, this.#done())];
  }

  error(error: McpctlError): Frame {
    return { data: JSON.stringify(toldLate(error, ollamaErrorBody(error), true)) };
  }

  whole(body: string): string {
    const steps = this.#take(piecesOf(body) ?? []);
    const end = this.#order.end().flatMap((step) => this.#piecesOf(step));
    const joined = (key: string): string =>
      [...steps, ...end].map((piece) => (typeof piece[key] === 'string' ? piece[key] : '')).join('');
    const calls = [...steps, ...end].flatMap((piece) => piece['tool_calls'] ?? []);
    const thinking = joined('thinking');
    const message = {
      content: joined('content'),
      ...(thinking === '' ? {} : { thinking }),
      ...(calls.length > 0 ? { tool_calls: calls } : {}),
    };
    return this.#line(message, this.#done()).data;
  }

  #take(pieces: readonly Piece[]): Record<string, unknown>[] {
    this.#firstAt ??= this.#now();
    return pieces.flatMap((piece) => {
      if (piece.kind === 'finish') this.#reason = piece.reason === 'length' ? 'length' : 'stop';
      else if (piece.kind === 'usage') this.#usage = piece.usage;
      else return this.#order.take(piece).flatMap((step) => this.#piecesOf(step));
      return [];
    });
  }

  #piecesOf(step: Step): Record<string, unknown>[] {
    const { kind } = step.block;
    if (kind === 'call')
      return step.do === 'close' ? [{ content: '', tool_calls: [callOf(step.block)] }] : [];
    if (step.do !== 'delta') return [];
    return [kind === 'reasoning' ? { content: '', thinking: step.text } : { content: step.text }];
  }

  #line({ content = '', ...more }: Record<string, unknown>, end: object): Frame {
    const answer =
      this.#call === 'chat'
        ? { message: { role: 'assistant', content, ...more } }
        : { response: content, ...more };
    const head = { model: this.#options.model, created_at: new Date().toISOString() };
    return { data: JSON.stringify({ ...head, ...answer, done: false, ...end }) };
  }

  #done(): object {
    const now = this.#now();
    const nanoseconds = (ms: number): number => Math.max(0, Math.round(ms * 1_000_000));
    return {
      done: true,
      done_reason: this.#reason,
      total_duration: nanoseconds(now - this.#startedAt),
      load_duration: 0,
      prompt_eval_count: this.#usage?.prompt ?? 0,
      prompt_eval_duration: 0,
      eval_count: this.#usage?.completion ?? 0,
      eval_duration: nanoseconds(now - (this.#firstAt ?? now)),
    };
  }
}

/** Ollama's arguments are an object. */
function callOf({ id, name, text }: Block): object {
  let args: unknown;
  try {
    args = JSON.parse(text);
  } catch {
    args = {}; // cut off; `done_reason` says so
  }
  return { id, function: { name, arguments: args } };
}

/** Embeddings as Ollama gives them; `prompt` for the older call of one text. */
export class OllamaEmbeddingsForm implements Form {
  readonly lines = true;
  readonly #options: FormOptions;
  readonly #older: boolean;

  constructor(options: FormOptions, older: boolean) {
    this.#options = options;
    this.#older = older;
  }

  event(): Frame[] {
    return [];
  }

  keepAlive(): Frame {
    return { data: '' };
  }

  last(): Frame[] {
    return [];
  }

  error(error: McpctlError): Frame {
    return { data: JSON.stringify(toldLate(error, ollamaErrorBody(error), true)) };
  }

  whole(body: string): string {
    // A backend wrote it, or somebody who says so.
    const { data, usage } = jsonObject(body) ?? {};
    const indexOf = ({ index }: Json): number => (typeof index === 'number' ? index : 0);
    const vectors = listOf(data)
      .filter(isJson)
      .toSorted((a, b) => indexOf(a) - indexOf(b))
      .map(({ embedding }) => (typeof embedding === 'string' ? numbersIn(embedding) : (embedding ?? [])));
    if (this.#older) return JSON.stringify({ embedding: vectors[0] ?? [] });
    const { model } = this.#options;
    const promptTokens = isJson(usage) ? usage['prompt_tokens'] : undefined;
    const prompt_eval_count = Number.isSafeInteger(promptTokens) ? Math.max(0, Number(promptTokens)) : 0;
    const counts = { total_duration: 0, load_duration: 0, prompt_eval_count };
    return JSON.stringify({ model, embeddings: vectors, ...counts });
  }
}

function numbersIn(base64: string): number[] {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, n) => bytes.readFloatLE(n * 4));
}
