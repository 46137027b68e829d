/**
 * Answers of Anthropic's Messages API for the scripted backend, as events with their names or whole:
 *
 *   backend.reply(messages([{ type: 'text', pieces: ['Hello', ' there'] }]));
 *   const backend = await startAnthropic();  // models, one answer, needs its key
 */
import { answers, startBackend, type Backend, type Script } from './backend.ts';

export type Block =
  | { type: 'text' | 'thinking'; pieces: readonly string[] }
  | { type: 'tool_use'; id: string; name: string; pieces: readonly string[] };

export interface MessagesOptions {
  stopReason?: string;
  /** Ends the stream after so many events. */
  cutAfter?: number;
  /** `ping` before each event but the first. */
  pings?: boolean;
}

const usage = { input_tokens: 3, cache_creation_input_tokens: 2, cache_read_input_tokens: 5 };

/** As the request says: whole, or an event stream. */
export function messages(blocks: readonly Block[], options: MessagesOptions = {}): Script {
  const stopReason = options.stopReason ?? 'end_turn';
  return (exchange) => {
    const { json } = exchange.request;
    const pieces = blocks.reduce((sum, block) => sum + block.pieces.length, 0);
    const head = { id: 'msg_1', type: 'message', role: 'assistant', model: json?.['model'] };
    if (json?.['stream'] !== true) {
      const whole = { ...head, content: blocks.map(wholeBlock), stop_reason: stopReason };
      return answers(200, { ...whole, usage: { ...usage, output_tokens: pieces } })(exchange);
    }
    const start = { ...head, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
    const events = [
      { type: 'message_start', message: start },
      ...blocks.flatMap(blockEvents),
      { type: 'message_delta', delta: { stop_reason: stopReason }, usage: { output_tokens: pieces } },
      { type: 'message_stop' },
    ].flatMap((event, n) => (options.pings && n > 0 ? [{ type: 'ping' }, event] : [event]));
    const { response } = exchange;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of events.slice(0, options.cutAfter)) {
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  };
}

function wholeBlock(block: Block): object {
  const text = block.pieces.join('');
  switch (block.type) {
    case 'text':
      return { type: 'text', text };
    case 'thinking':
      return { type: 'thinking', thinking: text, signature: 'x' };
    case 'tool_use':
      return { type: 'tool_use', id: block.id, name: block.name, input: JSON.parse(text || '{}') as unknown };
  }
}

function blockEvents(block: Block, index: number): { type: string }[] {
  const empty = { text: { text: '' }, thinking: { thinking: '' }, tool_use: { input: {} } }[block.type];
  const { pieces, ...named } = block;
  const piece = (text: string): object => {
    switch (block.type) {
      case 'text':
        return { type: 'text_delta', text };
      case 'thinking':
        return { type: 'thinking_delta', thinking: text };
      case 'tool_use':
        return { type: 'input_json_delta', partial_json: text };
    }
  };
  return [
    { type: 'content_block_start', index, content_block: { ...named, ...empty } } as { type: string },
    ...pieces.map((text) => ({ type: 'content_block_delta', index, delta: piece(text) })),
    { type: 'content_block_stop', index } as { type: string },
  ];
}

export async function startAnthropic(key = 'sk-ant-1'): Promise<Backend> {
  const backend = await startBackend();
  backend.operations = ['messages'];
  backend.models = ['claude-x'];
  const refusal = { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } };
  backend.routes['/v1/models'] = ({ headers }) => {
    if (headers['x-api-key'] !== key || !headers['anthropic-version']) return { status: 401, body: refusal };
    const data = backend.models.map((id) => ({
      type: 'model',
      id,
      max_input_tokens: 200_000,
      max_tokens: 8_192,
      capabilities: { image_input: { supported: true }, thinking: { supported: false } },
    }));
    return { body: { data, has_more: false } };
  };
  backend.reply(messages([{ type: 'text', pieces: ['Hello', ' there'] }]));
  return backend;
}

export function refusal(status: number, type: string, message: string): Script {
  return answers(status, { type: 'error', error: { type, message } });
}
