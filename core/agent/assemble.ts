import { z } from 'zod';
import { jsonValue } from '../text/json-text.ts';

/** One call of a tool, as the answer has it: `arguments` is the text that the model wrote, JSON or not. */
export const toolCallSchema = z.object({ id: z.string(), name: z.string(), arguments: z.string() });
export type ToolCall = z.infer<typeof toolCallSchema>;

/** What a caller was shown of an answer, as the thread keeps it. */
export interface Assembled {
  content: string;
  reasoning: string | null;
  /** The field that the reasoning came in: it goes back under the same name. */
  reasoningField: string | null;
  toolCalls: ToolCall[] | null;
  /** Nothing of it is missing: not more than is kept, and no event before it was lost. */
  isWhole: boolean;
  /** There is none: its backend found what was asked too long. */
  tooLong?: true;
}

/** Of one answer, in characters; what is longer is not kept. A model writes some 500,000 at most. @internal tests go up to it */
export const MOST_ANSWER_CHARS = 4_194_304;
const MOST_CALLS = 256;

const text = z.string().nullish().catch(undefined);
const functionSchema = z.object({ name: text, arguments: text }).nullish().catch(undefined);
const callsSchema = z
  .array(
    z
      .object({ index: z.int().min(0).optional().catch(undefined), id: text, function: functionSchema })
      .catch({}),
  )
  .nullish()
  .catch(undefined);
const reasoningFields = { reasoning_content: text, reasoning: text };
const saidSchema = z
  .object({
    content: text,
    ...reasoningFields,
    provider_specific_fields: z.object(reasoningFields).nullish().catch(undefined),
    tool_calls: callsSchema,
  })
  .nullish()
  .catch(undefined);
const choiceSchema = z
  .object({ index: z.int().optional().catch(undefined), delta: saidSchema, message: saidSchema })
  .catch({ delta: undefined, message: undefined });
const chunkSchema = z.object({ choices: z.array(choiceSchema).nullish().catch(undefined) });

type Said = NonNullable<z.infer<typeof saidSchema>>;

/**
 * Puts together what the events of a chat have told, as every reader of them does: texts joined in order, the arguments of
 * each call too. Event by event, so that it costs a stream no second look; how events were cut does not matter to the texts.
 * What is no chunk tells nothing. Of several choices the first counts.
 */
export class Assembly {
  readonly #taskId: string;
  #content = '';
  #reasoning = '';
  #field: string | null = null;
  readonly #calls: ToolCall[] = [];
  /** Of each call, by the index that its deltas say, its place. */
  readonly #places = new Map<number, number>();
  #latest = -1;
  #chars = 0;
  #isWhole: boolean;

  /** @param taskId names calls that the backend has given no id, as for those who read the stream. */
  constructor(taskId: string, { isWhole = true }: { isWhole?: boolean } = {}) {
    this.#taskId = taskId;
    this.#isWhole = isWhole;
  }

  /** @param event a chunk, or a whole answer, as JSON. */
  add(event: string): void {
    const parsed = chunkSchema.safeParse(jsonValue(event));
    for (const [at, choice] of (parsed.data?.choices ?? []).entries()) {
      const message = choice.delta ?? choice.message;
      if (message && (choice.index ?? at) === 0) this.#say(message);
    }
  }

  answer(): Assembled {
    const hasReasoning = this.#reasoning !== '';
    return {
      content: this.#content,
      reasoning: hasReasoning ? this.#reasoning : null,
      reasoningField: hasReasoning ? this.#field : null,
      toolCalls: this.#calls.length === 0 ? null : this.#calls.map((call) => ({ ...call })),
      isWhole: this.#isWhole,
    };
  }

  #say({ content, tool_calls: calls, provider_specific_fields: special, ...direct }: Said): void {
    const { reasoning_content: asContent, reasoning } = { ...special, ...withoutNothing(direct) };
    const [field, thought] = asContent ? ['reasoning_content', asContent] : ['reasoning', reasoning];
    if (thought) {
      this.#field ??= field;
      this.#reasoning += this.#taken(thought);
    }
    if (content) this.#content += this.#taken(content);
    for (const call of calls ?? []) this.#call(call);
  }

  #call({ index, id, function: named }: NonNullable<z.infer<typeof callsSchema>>[number]): void {
    const begins = id ? !this.#calls.some((call) => call.id === id) : Boolean(named?.name);
    const at = index ?? (begins || this.#latest < 0 ? this.#places.size : this.#latest);
    let place = this.#places.get(at);
    if (place === undefined) {
      if (this.#calls.length >= MOST_CALLS) {
        this.#isWhole = false;
        return;
      }
      place = this.#calls.length;
      this.#places.set(at, place);
      this.#calls.push({ id: id || `call_${this.#taskId}_0_${at}`, name: '', arguments: '' });
    }
    this.#latest = at;
    const call = this.#calls[place];
    if (!call) return;
    call.name += this.#taken(named?.name ?? '');
    call.arguments += this.#taken(named?.arguments ?? '');
  }

  /** As much of a text as is kept. */
  #taken(piece: string): string {
    const room = MOST_ANSWER_CHARS - this.#chars;
    this.#chars += Math.min(room, piece.length);
    if (piece.length <= room) return piece;
    this.#isWhole = false;
    return piece.slice(0, room);
  }
}

/** @param events chunks in order, or one whole answer. */
export function assemble(taskId: string, events: Iterable<string>): Assembled {
  const assembly = new Assembly(taskId);
  for (const event of events) assembly.add(event);
  return assembly.answer();
}

/** What a task's end leaves of an answer of which nothing was shown. */
export const nothingSaid: Assembled = assemble('', []);

const withoutNothing = ({
  reasoning_content: asContent,
  reasoning,
}: Pick<Said, 'reasoning_content' | 'reasoning'>) => ({
  ...(asContent && { reasoning_content: asContent }),
  ...(reasoning && { reasoning }),
});
