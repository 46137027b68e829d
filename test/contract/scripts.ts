/**
 * Answers of backends for the contract suite: what real ones send, and what they get wrong, byte for byte.
 * They are built on the scripts of test/support/backend.ts and run on its server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { answers, type Script } from '../support/backend.ts';

/** Bytes; `after(ms)`; `permitted`: wait for a `release()` of the test; `dies`: the connection breaks. */
export type Step = string | Uint8Array | { afterMs: number } | typeof permitted | typeof dies;

export const permitted = Symbol('waits until the test lets it go on');
export const dies = Symbol('the connection breaks');
export const after = (afterMs: number): Step => ({ afterMs });

/** An event stream of exactly these steps; each piece of bytes is a write of its own. */
export function plays(...steps: readonly Step[]): Script {
  return async (exchange) => {
    const { response } = exchange;
    // A backend that is still reading the prompt has sent nothing, not even a status.
    const open = (): void => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
    };
    for (const step of steps) {
      if (step === dies) return exchange.drop();
      if (step === permitted) {
        if (!(await exchange.permit())) return;
      } else if (typeof step === 'object' && 'afterMs' in step) await sleep(step.afterMs);
      else {
        open();
        await new Promise<void>((resolve) => response.write(step, () => setImmediate(resolve)));
      }
      if (response.destroyed) return;
    }
    open();
    response.end();
  };
}

export const data = (json: unknown): string => `data: ${JSON.stringify(json)}\n\n`;
export const DONE = 'data: [DONE]\n\n';

const head = { id: 'chatcmpl-b', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'tiny' };
export const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

/** A chunk's JSON with these choices. */
export const chunkOf = (choices: unknown, more: object = {}): Record<string, unknown> => ({
  ...head,
  choices,
  ...more,
});
/** A chunk with one choice. */
export const chunk = (delta: object, finish: string | null = null, more: object = {}): string =>
  data(chunkOf([{ index: 0, delta, finish_reason: finish }], more));

/** Text that no split or charset mistake survives unseen. */
export const words = ['Grüße', ', wörld', ' €✓', ' 🙂!'] as const;
export const text = words.join('');

const role = chunk({ role: 'assistant', content: '' });
const chunks = words.map((content) => chunk({ content }));
const stop = chunk({}, 'stop');
const good = [role, ...chunks, stop, DONE];

const bytewise = (whole: string, size: number): Uint8Array[] => {
  const bytes = Buffer.from(whole);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
};
const each = (change: (json: Record<string, unknown>, n: number) => unknown): string[] =>
  good.slice(0, -1).map((event, n) => data(change(JSON.parse(event.slice(6)) as Record<string, unknown>, n)));
const without = (...keys: string[]): string[] =>
  each((json) => Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key))));

/** The same answer, as backends send it that are wrong in form: each client must read it as if it were right. */
export const quirks: Readonly<Record<string, Script>> = {
  'as it should be': plays(...good),
  'no role at all': plays(...chunks, stop, DONE),
  'an empty role': plays(chunk({ role: '', content: '' }), ...chunks, stop, DONE),
  'a role on every chunk': plays(
    role,
    ...words.map((content) => chunk({ role: 'assistant', content })),
    stop,
    DONE,
  ),
  'content null at first, and at the end': plays(
    chunk({ role: 'assistant', content: null }),
    ...chunks,
    chunk({ content: null }, 'stop'),
    DONE,
  ),
  'no index in a choice': plays(
    ...each((json) => ({
      ...json,
      choices: (json['choices'] as object[]).map((choice) => ({ ...choice, index: undefined })),
    })),
    DONE,
  ),
  'no [DONE]': plays(role, ...chunks, stop),
  'finish_reason with the last words': plays(
    role,
    ...chunks.slice(0, -1),
    chunk({ content: words[3] }, 'stop'),
    DONE,
  ),
  'an empty finish_reason until the end': plays(
    ...words.map((content) => chunk({ content }, '')),
    stop,
    DONE,
  ),
  'no finish_reason key until the end': plays(
    ...words.map((content) => data(chunkOf([{ index: 0, delta: { content } }]))),
    stop,
    DONE,
  ),
  'finish_reason said twice': plays(...good.slice(0, -1), stop, DONE),
  CRLF: plays(good.join('').replaceAll('\n', '\r\n')),
  'CR alone': plays(good.join('').replaceAll('\n', '\r')),
  'no space after data:': plays(good.join('').replaceAll('data: ', 'data:')),
  'comments, ids, retry and event lines': plays(
    ': ping\n\n',
    ':\n\n',
    'retry: 3000\n\n',
    ...good.map((event, n) => `id: ${n}\nevent: message\n: still here\n${event}`),
  ),
  'an event over several data lines': plays(...good.map((event) => event.replace('{"id"', '{\ndata: "id"'))),
  'one byte at a time': plays(...bytewise(good.join(''), 1)),
  'UTF-8 torn apart': plays(...bytewise(good.join(''), 7)),
  'everything in one packet': plays(good.join('')),
  'usage on every chunk': plays(...each((json) => ({ ...json, usage })), DONE),
  'usage unasked, in a chunk of its own': plays(...good.slice(0, -1), data(chunkOf([], { usage })), DONE),
  'usage with choices null': plays(...good.slice(0, -1), data(chunkOf(null, { usage })), DONE),
  'usage without choices': plays(...good.slice(0, -1), data({ ...head, usage }), DONE),
  'choices null now and then': plays(role, data(chunkOf(null)), ...chunks, data(chunkOf(null)), stop, DONE),
  'empty choices now and then': plays(data(chunkOf([])), role, data(chunkOf([])), ...chunks, stop, DONE),
  'a choice without a delta': plays(
    role,
    data(chunkOf([{ index: 0, finish_reason: null }])),
    ...chunks,
    stop,
    DONE,
  ),
  'no id, created, object or model': plays(...without('id', 'created', 'object', 'model'), DONE),
  'another id and time on every chunk': plays(
    ...each((json, n) => ({ ...json, id: `chatcmpl-${n}`, created: 1_700_000_000 + n })),
    DONE,
  ),
  'more after [DONE]': plays(...good, data({ noise: true })),
  'long silence before the first word': plays(after(1_700), ...good),
  'long silence in the middle': plays(
    role,
    ...chunks.slice(0, 2),
    after(1_700),
    ...chunks.slice(2),
    stop,
    DONE,
  ),
};

/** Answers that fail after their first word was shown: no client may take one for a complete answer. */
export const failures: Readonly<Record<string, Script>> = {
  'dies mid-stream': plays(role, chunk({ content: words[0] }), permitted, dies),
  'ends without anything': plays(role, chunk({ content: words[0] }), permitted),
  'says an error': plays(
    role,
    chunk({ content: words[0] }),
    permitted,
    data({ error: { message: 'out of memory at http://10.0.0.7:8000', type: 'server_error', code: 500 } }),
  ),
  'sends what is no JSON': plays(role, chunk({ content: words[0] }), permitted, 'data: <html>\n\n', DONE),
};

/** Deltas of one call of a tool, as each engine streams them; `index`, `id` and `type` where it has them. */
const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } };
const args = ['{"city":', ' "Köln"}'] as const;
const calls = (first: object, rest: (text: string) => object): Script =>
  plays(
    chunk({ role: 'assistant', content: null, tool_calls: [first] }),
    ...args.map((piece) => chunk({ tool_calls: [rest(piece)] })),
    chunk({}, 'tool_calls'),
    DONE,
  );
export const toolCalls: Readonly<Record<string, Script>> = {
  'as it should be': calls({ index: 0, ...call }, (piece) => ({ index: 0, function: { arguments: piece } })),
  'without an index': calls(call, (piece) => ({ function: { arguments: piece } })),
  'without an index, with the id repeated': calls(call, (piece) => ({
    id: call.id,
    function: { arguments: piece },
  })),
  'without an id': calls({ index: 0, type: 'function', function: call.function }, (piece) => ({
    index: 0,
    function: { arguments: piece },
  })),
  'without a type': calls({ index: 0, id: call.id, function: call.function }, (piece) => ({
    index: 0,
    function: { arguments: piece },
  })),
  'whole, in one delta': plays(
    chunk({
      role: 'assistant',
      content: null,
      tool_calls: [{ ...call, function: { name: 'weather', arguments: args.join('') } }],
    }),
    chunk({}, 'tool_calls'),
    DONE,
  ),
};
export const toolArguments = { city: 'Köln' };

/** A whole chat answer. */
export function answersChat(
  message: object,
  more: { finish?: string; choice?: object; top?: object } = {},
): Script {
  const { finish = 'stop', choice = {}, top = {} } = more;
  const choices = [
    {
      index: 0,
      message: { role: 'assistant', ...message },
      logprobs: null,
      finish_reason: finish,
      ...choice,
    },
  ];
  return answers(200, { ...head, object: 'chat.completion', choices, usage, ...top });
}

export const vector = [0.25, -0.5, 0.125, 1, -0.0625];
const base64 = Buffer.from(Float32Array.from(vector).buffer).toString('base64');

/** Embeddings of as many inputs as were asked for; the n-th one is `vector` with n added to its first number. */
export function embeds(as: 'float' | 'base64'): Script {
  return (exchange) => {
    const { input } = exchange.request.json ?? {};
    const many = Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1;
    const items = Array.from({ length: many }, (_, index) => {
      const numbers = [(vector[0] ?? 0) + index, ...vector.slice(1)];
      const packed = Buffer.from(Float32Array.from(numbers).buffer).toString('base64');
      return { object: 'embedding', index, embedding: as === 'float' ? numbers : packed };
    });
    const model = exchange.request.json?.['model'];
    return answers(200, { object: 'list', model, data: items, usage: { prompt_tokens: 2, total_tokens: 2 } })(
      exchange,
    );
  };
}
export const packed = base64;
