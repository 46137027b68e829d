import type { Operation } from '../llm.ts';
import { isJson, jsonObject } from './parts/reason.ts';

type Json = Readonly<Record<string, unknown>>;
type Building = Record<string, unknown>;

/**
 * The whole answer that these events come to, for a caller who asked for one and whose backend streamed; in the
 * operation's own words. Undefined where they come to none.
 */
export function wholeOfEvents(operation: Operation, events: readonly string[]): string | undefined {
  const parsed = events.map(jsonObject).filter((event) => event !== undefined);
  try {
    const whole = wholeOf(operation, parsed);
    return whole && JSON.stringify(whole);
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined; // nested too deeply for anybody to read
    throw thrown;
  }
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
    addToHead(head, chunk);
    for (const [at, choiceJson] of listOf(chunk['choices']).entries()) addChoice(choices, choiceJson, at);
  }
  const object = operation === 'chat' ? 'chat.completion' : 'text_completion';
  const all = [...choices.entries()].sort(([a], [b]) => a - b).map(([, choice]) => choice);
  return { ...head, object, choices: all };
}

/** What names an answer: of each the first counts. */
const naming: ReadonlySet<string> = new Set(['id', 'object', 'created', 'model']);

/**
 * What stands beside the choices of a chunk: usage, timings and sources come last, and on others as null, and some say parts of
 * one thing on several (`x_groq`).
 */
function addToHead(head: Building, chunk: Json): void {
  for (const [key, value] of Object.entries(chunk)) {
    if (key === 'choices' || key === '__proto__') continue;
    const before = Object.hasOwn(head, key) ? head[key] : undefined;
    if (value == null || (naming.has(key) && before != null)) head[key] = before ?? value;
    else head[key] = isJson(value) && isJson(before) ? { ...before, ...value } : value;
  }
}

function addChoice(choices: Map<number, Building>, { delta, index, ...more }: Json, at: number): void {
  const n = Number.isSafeInteger(index) ? Number(index) : at;
  let choice = choices.get(n);
  if (!choice) choices.set(n, (choice = { index: n, ...(delta === undefined ? {} : { message: {} }) }));
  if (isJson(delta)) choice['message'] = add(isJson(choice['message']) ? choice['message'] : {}, delta);
  add(choice, more);
}

/**
 * Adds a piece to `sum`, in place, as an answer may have a million pieces: texts and lists grow, what has an index is
 * added to its like, the rest is replaced.
 */
function add(sum: Building, piece: Json): Building {
  for (const [key, value] of Object.entries(piece)) {
    if (key === '__proto__') continue; // a backend could reach what every object has
    const before = Object.hasOwn(sum, key) ? sum[key] : undefined;
    if (value == null || (value === '' && before != null)) sum[key] = before ?? value;
    else if (typeof value === 'string' && typeof before === 'string' && texts.has(key))
      sum[key] = before + value;
    else if (Array.isArray(value)) sum[key] = joined(Array.isArray(before) ? before : [], value);
    else if (isJson(value)) sum[key] = add(isJson(before) ? before : {}, value);
    else sum[key] = value;
  }
  return sum;
}

/** Adds `pieces` to the list, in place. The last is looked at first, as it is the one that grows. */
function joined(all: unknown[], pieces: readonly unknown[]): unknown[] {
  for (const piece of pieces) {
    const index = isJson(piece) ? piece['index'] : undefined;
    const like =
      index === undefined ? undefined : all.findLast((one) => isJson(one) && one['index'] === index);
    if (isJson(piece) && isJson(like)) add(like, piece);
    else all.push(piece);
  }
  return all;
}

function wholeMessage(events: readonly Json[]): Json | undefined {
  const start = events.find(({ type }) => type === 'message_start')?.['message'];
  if (!isJson(start)) return undefined;
  const blocks = new Map<number, Building>();
  const end: Building = {};
  const usage: Building = isJson(start['usage']) ? { ...start['usage'] } : {};
  for (const { type, index, content_block: block, delta, usage: counted, ...beside } of events) {
    const at = typeof index === 'number' ? index : 0;
    if (type === 'content_block_start' && isJson(block)) blocks.set(at, { ...block });
    const open = blocks.get(at);
    if (type === 'content_block_delta' && open && isJson(delta)) addToBlock(open, delta);
    if (type !== 'message_delta') continue;
    Object.assign(end, beside, isJson(delta) ? delta : {}); // `context_management` stands beside the delta
    if (isJson(counted)) Object.assign(usage, counted);
  }
  const inOrder = [...blocks].sort(([a], [b]) => a - b).map(([, block]) => closed(block));
  return { ...start, content: inOrder, ...end, usage };
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
