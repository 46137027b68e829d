import type { Operation } from '../llm.ts';
import { isJson, jsonObject } from './parts/reason.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * The events that a whole answer would have been, for a caller who asked for a stream and whose backend gave none;
 * undefined where it is nested too deeply for anybody to read.
 */
export function eventsOfWhole(operation: Operation, body: string): string[] | undefined {
  try {
    return eventsOf(operation, body);
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

function eventsOf(operation: Operation, body: string): string[] {
  const answer = jsonObject(body) ?? {};
  switch (operation) {
    case 'chat':
      return [JSON.stringify({ ...answer, object: 'chat.completion.chunk', choices: chunksOf(answer) })];
    case 'responses':
      return responseEvents(answer).map((event) => JSON.stringify(event));
    case 'messages':
      return messageEvents(answer).map((event) => JSON.stringify(event));
    case 'completions':
    case 'embeddings':
      return [body];
  }
}

function chunksOf({ choices }: Json): object[] {
  return listOf(choices).map((choice) => {
    const { message, ...rest } = choice;
    if (!isJson(message)) return choice;
    const calls = listOf(message['tool_calls']).map((call, index) => ({ index, ...call }));
    return { ...rest, delta: { ...message, ...(calls.length > 0 ? { tool_calls: calls } : {}) } };
  });
}

/** Clients want a response to be created before anything is said of it. */
function responseEvents(response: Json): object[] {
  const created = { ...response, status: 'in_progress', output: [], usage: null };
  const { status } = response;
  const type =
    typeof status === 'string' && /^(incomplete|failed|cancelled)$/.test(status) ? status : 'completed';
  return [
    { type: 'response.created', sequence_number: 0, response: created },
    { type: `response.${type}`, sequence_number: 1, response },
  ];
}

function messageEvents(answer: Json): object[] {
  const { stop_reason, stop_sequence = null, usage = {}, content } = answer;
  const message = { ...answer, content: [], stop_reason: null, stop_sequence: null };
  return [
    { type: 'message_start', message },
    ...listOf(content).flatMap((block, index) => [
      { type: 'content_block_start', index, content_block: { ...block, ...emptied(block) } },
      ...deltasOf(block).map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: stop_reason ?? 'end_turn', stop_sequence }, usage },
    { type: 'message_stop' },
  ];
}

function emptied({ type }: Json): object {
  if (type === 'text') return { text: '' };
  if (type === 'thinking') return { thinking: '', signature: '' };
  return type === 'tool_use' ? { input: {} } : {};
}

function deltasOf({ type, text, thinking, signature, input }: Json): object[] {
  switch (type) {
    case 'text':
      return [{ type: 'text_delta', text }];
    case 'thinking':
      return [
        { type: 'thinking_delta', thinking },
        ...(typeof signature === 'string' ? [{ type: 'signature_delta', signature }] : []),
      ];
    case 'tool_use':
      return [{ type: 'input_json_delta', partial_json: JSON.stringify(input ?? {}) }];
    default:
      return []; // it is all there from its start
  }
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isJson) : [];
}
