import type { McpctlError } from '../../../core/errors.ts';
import type { TaskBodies } from '../../../core/registry/tasks/tasks.ts';
import { chatNames } from '../../../core/translate/chat-values.ts';
import { isTranslated, type Translated } from '../../../core/translate/member-body.ts';
import type { TaskRow, Usage } from '../../../core/task/task.ts';
import { ChunkForm } from '../form/chunks.ts';
import type { Form, FormOptions, Frame, MadeEvent, NamedForm, WaitState } from '../form/form.ts';
import { readRequest } from '../ask/request.ts';
import { ChatReader, type AnswerOptions, type Speaking } from './answer.ts';
import { BlockOrder } from './blocks.ts';
import { messagesAnswer } from './messages-answer.ts';
import { isChat, piecesOf, type ChatUsage } from './pieces.ts';
import { responsesAnswer } from './responses-answer.ts';

const speakings = { responses: responsesAnswer, messages: messagesAnswer } satisfies Record<
  Translated,
  (options: AnswerOptions) => Speaking
>;

function readerOf(operation: Translated, options: AnswerOptions): ChatReader {
  const order = new BlockOrder(options.taskId, chatNames(options.toolNames));
  return new ChatReader(order, speakings[operation](options));
}

export function chatUsageOf(usage: Usage | null): ChatUsage | null {
  if (usage === null) return null;
  return { prompt: usage.promptTokens, completion: usage.completionTokens, cached: 0, reasoning: 0 };
}

/** A whole chat answer as the operation that was asked for; undefined when it is no chat answer. */
function translatedWhole(
  operation: Translated,
  { body, ...options }: AnswerOptions & { body: string },
): string | undefined {
  const pieces = piecesOf(body);
  return pieces && JSON.stringify(readerOf(operation, options).whole(pieces));
}

/** A task's bodies, with an answer that a member gave in chat as the task's own operation. */
export async function asAskedFor(row: TaskRow, bodies: TaskBodies): Promise<TaskBodies> {
  const { requestBody, responseBody: body } = bodies;
  if (!isTranslated(row.operation) || body === null) return bodies;
  const {
    customTools = [],
    toolNames = [],
    stops = [],
    model = row.llmName,
  } = requestBody === null ? {} : await readRequest(row.operation, requestBody, { owner: row.ownerId });
  const createdS = Math.floor(row.createdAt.getTime() / 1_000);
  const whole = translatedWhole(row.operation, {
    taskId: row.id,
    model,
    createdS,
    customTools,
    toolNames,
    stops,
    body,
  });
  return { ...bodies, responseBody: whole ?? body };
}

/**
 * The form of an answer of which the member, and so the first event, decides whether it is to be translated. What it
 * says in chat is put right as chat first, then said in the caller's protocol: numbers, names and keep-alives are the
 * inner form's.
 *
 * A reader that may begin after any event (`resumable`) gets chat as it is: what has gone before is not known there.
 */
export class TranslatingForm implements Form {
  readonly #operation: Translated;
  readonly #options: FormOptions;
  readonly #inner: NamedForm;
  readonly #chunks: ChunkForm;
  readonly #reader: ChatReader;
  /** The member does, by what its first event is; it does to the end. */
  #speaksChat = false;

  constructor(operation: Translated, inner: NamedForm, options: FormOptions) {
    this.#operation = operation;
    this.#inner = inner;
    this.#options = options;
    this.#chunks = new ChunkForm('chat', { ...options, wantsUsage: true });
    this.#reader = readerOf(operation, options);
  }

  event(data: string): Frame[] {
    this.#speaksChat ||= isChat(data);
    if (!this.#speaksChat) return this.#inner.event(data);
    const chunks = this.#chunks.event(data);
    if (this.#options.resumable) return chunks;
    return this.#say(this.#reader.take(chunks.flatMap((chunk) => piecesOf(chunk.data) ?? [])));
  }

  keepAlive(wait: WaitState): Frame | null {
    return this.#inner.keepAlive(wait);
  }

  last(usage: Usage | null): Frame[] {
    const end = this.#reader.begun ? this.#say(this.#reader.end(chatUsageOf(usage))) : [];
    return [...end, ...this.#inner.last(usage)];
  }

  error(error: McpctlError): Frame | null {
    return this.#inner.error(error);
  }

  whole(body: string): string {
    return this.#inner.whole(translatedWhole(this.#operation, { ...this.#options, body }) ?? body);
  }

  #say(events: readonly MadeEvent[]): Frame[] {
    return events.map((event) => this.#inner.made(event));
  }
}
