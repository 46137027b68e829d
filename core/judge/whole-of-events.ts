import type { Operation } from '../llm.ts';
import { isJson, jsonObject } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;
type Building = Record<string, unknown>;

/** The whole answer that these events come to, for a caller who asked for one and whose backend streamed; in the operation's own words. */
export function wholeOfEvents(operation: Operation, events: readonly string[]): string | undefined {
  const parsed = events.map(jsonObject).filter((event) => event !== undefined);
  const whole = wholeOf(operation, parsed);
  return whole && JSON.stringify(whole);
}

function wholeOf(operation: Operation, events: readonly Json[]): Json | undefined {
  switch (operation) {
    case 'chat':
    case 'completions':
      return wholeOfChunks(operation, events);
    case 'responses':
      return events.map(({ response }) => response).findLast(isJson);
    case 'messages':
      return wholeMessage(events);
    case 'embeddings':
      return events.find(({ data }) => Array.isArray(data));
  }
}

/** The members of a delta whose pieces make one text. */
const texts: ReadonlySet<string> = new Set([
  'content',
  'text',
  'reasoning',
  'reasoning_content',
  'refusal',
  'arguments',
]);

function wholeOfChunks(operation: 'chat' | 'completions', chunks: readonly Json[]): Json {
  const choices = new Map<number, Building>();
  const head: Building = {};
  for (const chunk of chunks) {
    // Usage comes last, and on some of the others as null; of what names the answer the first counts.
    for (const [key, value] of Object.entries(chunk))
      if (key === 'usage' || key === 'timings' ? value != null : !(key in head)) head[key] = value;
    for (const [at, said] of listOf(chunk['choices']).entries()) addChoice(choices, said, at);
  }
  const object = operation === 'chat' ? 'chat.completion' : 'text_completion';
  const all = [...choices.entries()].sort(([a], [b]) => a - b).map(([, choice]) => choice);
  return { ...head, object, choices: all };
}

function addChoice(choices: Map<number, Building>, { delta, index, ...more }: Json, at: number): void {
  const n = Number.isSafeInteger(index) ? Number(index) : at;
  let choice = choices.get(n);
  if (!choice) choices.set(n, (choice = { index: n, ...(delta === undefined ? {} : { message: {} }) }));
  if (isJson(delta)) choice['message'] = added(isJson(choice['message']) ? choice['message'] : {}, delta);
  Object.assign(choice, added(choice, more));
}

/** `to` with a piece added to it: texts and lists grow, what has an index is added to its like, the rest is replaced. */
function added(to: Json, piece: Json): Building {
  const sum: Building = { ...to };
  for (const [key, value] of Object.entries(piece)) {
    const before = sum[key];
    if (value == null) sum[key] ??= value;
    else if (typeof value === 'string' && typeof before === 'string' && texts.has(key))
      sum[key] = before + value;
    else if (Array.isArray(value)) sum[key] = joined(Array.isArray(before) ? before : [], value);
    else if (isJson(value)) sum[key] = added(isJson(before) ? before : {}, value);
    else sum[key] = value;
  }
  return sum;
}

function joined(before: readonly unknown[], pieces: readonly unknown[]): unknown[] {
  const all = [...before];
  for (const piece of pieces) {
    const at = isJson(piece) ? all.findIndex((one) => isJson(one) && one['index'] === piece['index']) : -1;
    const like = all[at];
    if (isJson(piece) && piece['index'] !== undefined && isJson(like)) all[at] = added(like, piece);
    else all.push(piece);
  }
  return all;
}

function wholeMessage(events: readonly Json[]): Json | undefined {
  const start = events.find(({ type }) => type === 'message_start')?.['message'];
  if (!isJson(start)) return undefined;
  const blocks: Building[] = [];
  const end: Building = {};
  const usage: Building = isJson(start['usage']) ? { ...start['usage'] } : {};
  for (const { type, index, content_block: block, delta, usage: counted } of events) {
    const at = Number(index);
    if (type === 'content_block_start' && isJson(block)) blocks[at] = { ...block };
    const open = blocks[at];
    if (type === 'content_block_delta' && open && isJson(delta)) addToBlock(open, delta);
    if (type !== 'message_delta') continue;
    if (isJson(delta)) Object.assign(end, delta);
    if (isJson(counted)) Object.assign(usage, counted);
  }
  return { ...start, content: blocks.filter(Boolean).map(closed), ...end, usage };
}

function addToBlock(
  block: Building,
  { type, text, thinking, signature, partial_json, citation }: Json,
): void {
  const grow = (key: string, piece: unknown): void => {
    const before = block[key];
    block[key] = (typeof before === 'string' ? before : '') + (typeof piece === 'string' ? piece : '');
  };
  if (type === 'text_delta') grow('text', text);
  else if (type === 'thinking_delta') grow('thinking', thinking);
  else if (type === 'signature_delta') grow('signature', signature);
  else if (type === 'input_json_delta') grow('json', partial_json);
  else if (type === 'citations_delta') block['citations'] = [...listOf(block['citations']), citation];
}

/** The arguments of a call come as pieces of a text. */
function closed({ json, ...block }: Building): Building {
  return typeof json === 'string' && json !== '' ? { ...block, input: jsonObject(json) ?? {} } : block;
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isJson) : [];
}
