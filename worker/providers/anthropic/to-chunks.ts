import { z } from 'zod';
import { jsonObject } from '../../../core/judge/parts/reason.ts';
import type { Usage } from '../../../core/task/task.ts';
import { chatId } from './ids.ts';
import { cachedIn, finishReasonOf, usageBody, type Head } from './to-chat.ts';
import type { Tools } from './tools.ts';

// Each is made when the first event is read, as most workers have no such backend.
const index = z.lazy(() => z.int().nonnegative());
const startSchema = z.lazy(() =>
  z.looseObject({
    message: z.looseObject({ id: z.string(), usage: z.unknown().optional() }),
  }),
);
const blockSchema = z.lazy(() =>
  z.looseObject({
    index,
    content_block: z.looseObject({
      type: z.string(),
      id: z.string().optional(),
      name: z.string().optional(),
      text: z.string().optional(),
      thinking: z.string().optional(),
      input: z.unknown().optional(),
    }),
  }),
);
const deltaSchema = z.lazy(() =>
  z.looseObject({
    index,
    delta: z.looseObject({
      text: z.string().optional(),
      thinking: z.string().optional(),
      partial_json: z.string().optional(),
    }),
  }),
);
const stopSchema = z.lazy(() => z.looseObject({ index }));
const endSchema = z.lazy(() => z.looseObject({ delta: z.looseObject({ stop_reason: z.string() }) }));

interface Call {
  /** Among the answer's tool calls. */
  at: number;
  /** As it was asked for. */
  name: string;
  /** What came with its beginning: some that speak Anthropic's protocol give all of it there. */
  input: unknown;
  /** Pieces came, and were passed on or `kept`. */
  hasArguments: boolean;
  /** Of one whose properties are called otherwise there: they are told when all of it is. */
  kept: string | null;
}

type CallDelta = (at: number, piece: object) => string;

/** The calls of one answer, by their blocks. */
class Calls {
  readonly #tools: Tools;
  readonly #delta: CallDelta;
  readonly #open = new Map<number, Call>();

  constructor(tools: Tools, delta: CallDelta) {
    this.#tools = tools;
    this.#delta = delta;
  }

  begin(block: number, { id, sent, input }: { id: string; sent: string; input: unknown }): string[] {
    const at = this.#open.size;
    const name = this.#tools.asked(sent);
    const kept = this.#tools.renames(name) ? '' : null;
    this.#open.set(block, { at, name, input, hasArguments: false, kept });
    return [this.#delta(at, { id: chatId(id), type: 'function', function: { name, arguments: '' } })];
  }

  piece(block: number, json: string): string[] {
    const open = this.#open.get(block);
    if (!open) return [];
    open.hasArguments = true;
    if (open.kept === null) return [this.#arguments(open, json)];
    open.kept += json;
    return [];
  }

  /** A tool without arguments has no piece at all; clients parse what they got as JSON. */
  end(block: number): string[] {
    const open = this.#open.get(block);
    if (!open || (open.hasArguments && open.kept === null)) return [];
    const input: unknown = open.hasArguments ? jsonObject(open.kept ?? '') : (open.input ?? {});
    // What was cut off is told as far as it came.
    if (input === undefined) return [this.#arguments(open, open.kept ?? '')];
    return [this.#arguments(open, JSON.stringify(this.#tools.askedInput(open.name, input)))];
  }

  #arguments({ at }: Call, json: string): string {
    return this.#delta(at, { function: { arguments: json } });
  }
}

export interface Chunks {
  /** The chunks, as text, that an event of a Messages stream becomes. */
  of(event: Readonly<Record<string, unknown>>): string[];
  /** The last one: no choices, the usage. */
  usage(usage: Usage | undefined): string;
}

/** Turns the events of a Messages stream into `chat.completion.chunk`s. */
export function createChunks({ created, model, tools }: Head): Chunks {
  let id = '';
  let cached: number | undefined;
  const chunk = (choices: object[], more?: object): string =>
    JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more });
  const delta = (piece: object, finish: string | null = null): string =>
    chunk([{ index: 0, delta: piece, finish_reason: finish }]);
  const calls = new Calls(tools, (at, piece) => delta({ tool_calls: [{ index: at, ...piece }] }));

  const begin = (event: unknown): string[] => {
    const message = startSchema.safeParse(event).data?.message;
    id = message?.id ?? id;
    cached = cachedIn(message?.usage);
    return [delta({ role: 'assistant', content: '' })];
  };
  const block = (event: unknown): string[] => {
    const started = blockSchema.safeParse(event).data;
    if (!started) return [];
    const { type, id: callId, name, text, thinking, input } = started.content_block;
    if (type === 'text' && text) return [delta({ content: text })];
    if (type === 'thinking' && thinking) return [delta({ reasoning_content: thinking })];
    if (type !== 'tool_use' || callId === undefined || name === undefined) return [];
    return calls.begin(started.index, { id: callId, sent: name, input });
  };
  const piece = (event: unknown): string[] => {
    const came = deltaSchema.safeParse(event).data;
    if (!came) return [];
    const { text, thinking, partial_json: json } = came.delta;
    if (text) return [delta({ content: text })];
    if (thinking) return [delta({ reasoning_content: thinking })];
    return json ? calls.piece(came.index, json) : [];
  };
  const stop = (event: unknown): string[] => calls.end(stopSchema.safeParse(event).data?.index ?? -1);
  const end = (event: unknown): string[] => {
    const reason = endSchema.safeParse(event).data?.delta.stop_reason;
    return reason === undefined ? [] : [delta({}, finishReasonOf(reason))];
  };
  const ways: Readonly<Record<string, (event: unknown) => string[]>> = {
    message_start: begin,
    content_block_start: block,
    content_block_delta: piece,
    content_block_stop: stop,
    message_delta: end,
  };
  return {
    of(event) {
      const { type } = event;
      return typeof type === 'string' && Object.hasOwn(ways, type) ? (ways[type]?.(event) ?? []) : [];
    },
    usage: (usage) => chunk([], { usage: usageBody(usage, cached) }),
  };
}
