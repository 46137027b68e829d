import { z } from 'zod';
import type { Usage } from '../../../core/task/task.ts';
import { chatId } from './ids.ts';
import { cachedIn, finishReasonOf, usageBody, type Head } from './to-chat.ts';

const index = z.int().nonnegative();
const startSchema = z.looseObject({
  message: z.looseObject({ id: z.string(), usage: z.unknown().optional() }),
});
const blockSchema = z.looseObject({
  index,
  content_block: z.looseObject({
    type: z.string(),
    id: z.string().optional(),
    name: z.string().optional(),
    text: z.string().optional(),
  }),
});
const deltaSchema = z.looseObject({
  index,
  delta: z.looseObject({
    text: z.string().optional(),
    thinking: z.string().optional(),
    partial_json: z.string().optional(),
  }),
});
const stopSchema = z.looseObject({ index });
const endSchema = z.looseObject({ delta: z.looseObject({ stop_reason: z.string() }) });

interface Call {
  /** Among the answer's tool calls. */
  at: number;
  hasArguments: boolean;
}

export interface Chunks {
  /** The chunks, as text, that an event of a Messages stream becomes. */
  of(event: Readonly<Record<string, unknown>>): string[];
  /** The last one: no choices, the usage. */
  usage(usage: Usage | undefined): string;
}

/** Turns the events of a Messages stream into `chat.completion.chunk`s. */
export function createChunks({ created, model, names }: Head): Chunks {
  let id = '';
  let cached: number | undefined;
  const calls = new Map<number, Call>();
  const chunk = (choices: object[], more?: object): string =>
    JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more });
  const delta = (piece: object, finish: string | null = null): string =>
    chunk([{ index: 0, delta: piece, finish_reason: finish }]);
  const call = (at: number, piece: object): string => delta({ tool_calls: [{ index: at, ...piece }] });

  const begin = (event: unknown): string[] => {
    const message = startSchema.safeParse(event).data?.message;
    id = message?.id ?? id;
    cached = cachedIn(message?.usage);
    return [delta({ role: 'assistant', content: '' })];
  };
  const block = (event: unknown): string[] => {
    const started = blockSchema.safeParse(event).data;
    if (!started) return [];
    const { type, id: callId, name, text } = started.content_block;
    if (type === 'text' && text) return [delta({ content: text })];
    if (type !== 'tool_use' || callId === undefined || name === undefined) return [];
    const at = calls.size;
    calls.set(started.index, { at, hasArguments: false });
    const called = { name: names.chat(name), arguments: '' };
    return [call(at, { id: chatId(callId), type: 'function', function: called })];
  };
  const piece = (event: unknown): string[] => {
    const came = deltaSchema.safeParse(event).data;
    if (!came) return [];
    const { text, thinking, partial_json: json } = came.delta;
    if (text) return [delta({ content: text })];
    if (thinking) return [delta({ reasoning_content: thinking })];
    const open = calls.get(came.index);
    if (!json || !open) return [];
    open.hasArguments = true;
    return [call(open.at, { function: { arguments: json } })];
  };
  /** A tool without arguments has no piece at all; clients parse what they got as JSON. */
  const stop = (event: unknown): string[] => {
    const open = calls.get(stopSchema.safeParse(event).data?.index ?? -1);
    return open && !open.hasArguments ? [call(open.at, { function: { arguments: '{}' } })] : [];
  };
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
