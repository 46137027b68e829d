import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import type { Operation } from '../../core/llm.ts';
import { formOf, type Form } from '../../edge/inference/form/index.ts';

const taskId = '0190a5f0-0000-7000-8000-000000000001';

interface Asked {
  wantsUsage?: boolean | 'continuous';
  encoding?: 'float' | 'base64';
  source?: 'v1' | 'infer';
}

function form(operation: Operation, asked: Asked = {}): Form {
  const { wantsUsage = false, encoding = 'float', source = 'v1' } = asked;
  const row = { id: taskId, operation, createdAt: new Date(1_700_000_000_000), llmName: 'desk', source };
  return formOf(row, { model: 'alias', wantsUsage, encoding, customTools: [], toolNames: [], stops: [] });
}

interface Chunk {
  id: string;
  created: number;
  model: string;
  object: string;
  usage?: unknown;
  choices: { index: number; delta: Record<string, unknown>; finish_reason: string | null; text?: string }[];
}

const chunksOf = (made: Form, events: readonly object[]): Chunk[] =>
  events.flatMap((e) => made.event(JSON.stringify(e))).map(({ data }) => JSON.parse(data) as Chunk);
const delta = (of: object, more: object = {}): object => ({
  id: 'chatcmpl-b',
  created: 1,
  choices: [{ index: 0, delta: of, ...more }],
});
const saidIn = (chunks: readonly Chunk[]): unknown[] =>
  chunks.map(({ choices: [c] }) => [c?.delta, c?.finish_reason]);
const role = [{ role: 'assistant', content: '' }, null];

describe('chunks of a chat', () => {
  it('leaves all but the model as the text it was', () => {
    const made = form('chat');
    made.event(JSON.stringify(delta({ role: 'assistant', content: '' })));
    const rest = `"big":12345678901234567890, "one":1.0,"x":1,"x":2,"nested":{"b":1.00}`;
    const text = (model: string): string =>
      `{"id":"chatcmpl-b","object":"chat.completion.chunk","created":1,"model":"${model}",${rest},"choices":[{"index":0,"delta":{"content":"é\\u00e9","reasoning":"r"},"logprobs":{"p":-0.10},"finish_reason":null}]}`;
    expect(made.event(text('tiny'))).to.deep.equal([{ data: text('alias') }]);
  });

  it('says the role first and alone, and finishes on a chunk that only does so', () => {
    const chunks = chunksOf(form('chat'), [
      delta({ content: 'Hi' }),
      delta({ content: '!' }, { finish_reason: 'stop' }),
    ]);
    expect(saidIn(chunks)).to.deep.equal([
      role,
      [{ role: 'assistant', content: 'Hi' }, null],
      [{ content: '!' }, null],
      [{}, 'stop'],
    ]);
  });

  it('takes content of null for a role alone, and an empty delta for one', () => {
    for (const first of [{ role: 'assistant', content: null }, {}, { role: '' }])
      expect(saidIn(chunksOf(form('chat'), [delta(first)]))).to.deep.equal([role]);
  });

  it('keeps id, created and object of the first chunk, and makes them up where there are none', () => {
    const strange = { ...delta({ content: 'x' }), id: 'other', created: 2, object: 'x' };
    for (const { id, created, object, model } of chunksOf(form('chat'), [delta({}), strange]))
      expect([id, created, object, model]).to.deep.equal(['chatcmpl-b', 1, 'chat.completion.chunk', 'alias']);
    const [bare] = chunksOf(form('chat'), [{ choices: [{ delta: { content: 'x' } }] }]);
    expect([bare?.id, bare?.created]).to.deep.equal([`chatcmpl-${taskId}`, 1_700_000_000]);
    expect(bare?.choices[0]?.index).to.equal(0);
  });

  it('goes on under the id of the chunks that kept the stream alive', () => {
    const made = form('chat');
    const kept = JSON.parse(made.keepAlive({ state: 'queued', position: 3 })?.data ?? '') as Chunk & {
      mcpctl: unknown;
    };
    expect(kept.mcpctl).to.deep.equal({ state: 'queued', position: 3 });
    expect(kept.choices[0]?.delta).to.deep.equal(role[0]);
    const again = JSON.parse(made.keepAlive({ state: 'running' })?.data ?? '') as Chunk;
    expect(again.choices[0]?.delta).to.deep.equal({});
    const [chunk] = chunksOf(made, [delta({ content: 'x' })]);
    expect([chunk?.id, chunk?.created]).to.deep.equal([kept.id, kept.created]);
  });

  it('gives every chunk a choice, whatever a backend sends in their place', () => {
    for (const choices of [[], null, undefined, {}, 'x']) {
      const [chunk] = chunksOf(form('chat'), [{ choices, extra: 1 }]);
      expect(chunk).to.include({ extra: 1 });
      expect(chunk?.choices).to.deep.equal([{ index: 0, delta: role[0], finish_reason: null }]);
    }
  });

  it('finishes each choice once', () => {
    const both = (finish: string): object => ({
      choices: [0, 1].map((index) => ({ index, delta: {}, finish_reason: finish })),
    });
    const chunks = chunksOf(form('chat'), [delta({ content: 'a' }), both('stop'), both('length')]);
    const finished = chunks.flatMap(({ choices }) => choices.filter((c) => c.finish_reason !== null));
    expect(finished.map((c) => [c.index, c.finish_reason])).to.deep.equal([
      [0, 'stop'],
      [1, 'stop'],
    ]);
  });

  it('keeps one frame for each event where a reader may go on after any', () => {
    const made = form('chat', { source: 'infer' });
    const events = [delta({ content: 'Hi' }), delta({ content: '!' }, { finish_reason: 'stop' })];
    const frames = events.map((e) => made.event(JSON.stringify(e)));
    expect(frames.map((f) => f.length)).to.deep.equal([1, 1]);
  });

  it('gives tool calls their index, id and type', () => {
    const call = (of: object): object => delta({ tool_calls: [of] });
    const chunks = chunksOf(form('chat'), [
      delta({ role: 'assistant' }),
      call({ id: 'a', function: { name: 'f', arguments: '{' } }),
      call({ function: { arguments: '}' } }),
      call({ id: 'b', function: { name: 'g', arguments: '' } }),
      call({ id: 'a', function: { arguments: ' ' } }),
      call({ function: { name: 'h' } }),
    ]);
    const calls = chunks
      .slice(1)
      .map(({ choices: [c] }) => (c?.delta['tool_calls'] as Record<string, unknown>[])[0]);
    expect(calls.map((c) => [c?.['index'], c?.['id'], c?.['type']])).to.deep.equal([
      [0, 'a', 'function'],
      [0, undefined, undefined],
      [1, 'b', 'function'],
      [0, null, undefined], // said before: clients put ids together as they do texts
      [2, `call_${taskId}_0_2`, 'function'],
    ]);
  });
});

describe('pieces of a call, for who may go on after any of them', () => {
  it('are the same from there on as for who read from the start', () => {
    const piece = (call: object): object => delta({ tool_calls: [call] });
    const events = [
      piece({ index: 0, id: 'call_backend', type: 'function', function: { name: 'f', arguments: '' } }),
      piece({ index: 0, function: { arguments: '{"a"' } }),
      piece({ index: 0, function: { arguments: ':1}' } }),
      piece({ index: 1, id: 'call_other', type: 'function', function: { name: 'g', arguments: '{}' } }),
    ];
    const all = chunksOf(form('chat', { source: 'infer' }), events);
    for (let from = 0; from < events.length; from += 1)
      expect(chunksOf(form('chat', { source: 'infer' }), events.slice(from))).to.deep.equal(all.slice(from));
    expect(JSON.stringify(all)).not.to.contain(taskId);
  });
});

describe('usage in a stream', () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const settled = { promptTokens: 4, completionTokens: 5, totalTokens: 9 };
  const ask = (wantsUsage: Asked['wantsUsage'], events: readonly object[]): unknown[] => {
    const made = form('chat', { ...(wantsUsage === undefined ? {} : { wantsUsage }) });
    const frames = events.flatMap((e) => made.event(JSON.stringify(e)));
    return [...frames, ...made.last(settled)].flatMap(({ data }) =>
      data === '[DONE]' ? ['done'] : [(JSON.parse(data) as Chunk).usage ?? null],
    );
  };
  const alone = { choices: [], usage };
  const beside = { ...delta({ role: 'assistant', content: '' }), usage };

  it('is not shown to who did not ask, however a backend sends it', () => {
    expect(ask(false, [alone])).to.deep.equal(['done']);
    expect(ask(false, [{ usage }])).to.deep.equal(['done']);
    expect(ask(false, [beside])).to.deep.equal([null, 'done']);
  });

  it('hides nothing else that a backend says on the chunk of its usage (llama.cpp’s timings)', () => {
    const [chunk] = chunksOf(form('chat'), [{ ...alone, timings: { predicted_n: 2 } }]);
    expect(chunk).to.deep.include({ usage: null, timings: { predicted_n: 2 } });
    expect(chunk?.choices).to.deep.equal([{ index: 0, delta: {}, finish_reason: null }]);
  });

  for (const [whose, beside] of [
    ['Perplexity', { citations: ['https://x'] }],
    ['Groq', { x_groq: { id: 'r' } }],
    ['Cerebras', { time_info: { total_time: 0.5 } }],
    ['Portkey', { hook_results: { before_request_hooks: [] } }],
    ['Azure', { prompt_filter_results: [{ prompt_index: 0 }] }],
    ['vLLM, of where its cache is', { kv_transfer_params: { remote_block_ids: [1] } }],
    ['vLLM, of its prompt', { prompt_token_ids: [1, 2] }],
    ['OpenRouter, who answered', { provider: 'Groq' }],
    ['OpenAI, which lane it was in', { service_tier: 'flex' }],
    ['SGLang, of its weights', { metadata: { weight_version: 'default' } }],
    ['LiteLLM, what it cost', { _hidden_params: { response_cost: 0.1 } }],
    ['xAI, its sources', { search_results: [{ url: 'https://x' }] }],
    ['opencode Zen, what it cost', { cost: '0.1' }],
    ['Mistral, a fingerprint that was not told before', { system_fingerprint: 'fp' }],
  ] as const)
    it(`nor what others say there: ${whose}`, () => {
      const [chunk] = chunksOf(form('chat'), [{ ...alone, ...beside }]);
      expect(chunk).to.deep.include({ usage: null, ...beside });
    });

  it('hides a chunk of which all was told before', () => {
    const same = { provider: 'Groq', system_fingerprint: 'fp', service_tier: 'flex' };
    const chunks = chunksOf(form('chat'), [
      { ...delta({ role: 'assistant', content: 'a' }), ...same },
      { ...delta({}, {}), ...same },
      { ...alone, ...same },
    ]);
    expect(chunks.filter((chunk) => chunk.usage !== undefined)).to.deep.equal([]);
    // What is told at last is another thing than before.
    const [, last] = chunksOf(
      form('chat'),
      [
        { ...delta({ content: 'a' }), ...same },
        { ...alone, ...same, service_tier: 'default' },
      ].slice(-2),
    ).slice(-2);
    expect(last).to.include({ service_tier: 'default' });
  });

  it('is shown once, on a chunk of its own, to who asked', () => {
    expect(ask(true, [alone])).to.deep.equal([usage, 'done']);
    expect(ask(true, [beside, beside])).to.deep.equal([null, null, usage, 'done']);
    expect(ask(true, [])).to.deep.equal([
      { prompt_tokens: 4, completion_tokens: 5, total_tokens: 9 },
      'done',
    ]);
  });

  it('stays on every chunk where that was asked for', () => {
    expect(ask('continuous', [beside, alone])).to.deep.equal([usage, usage, 'done']);
  });
});

describe('other answers', () => {
  it('are completions with text and a finish_reason', () => {
    const [chunk] = chunksOf(form('completions'), [{ choices: [{ text: 'a' }] }, {}]);
    expect(chunk).to.include({ object: 'text_completion', model: 'alias', id: `cmpl-${taskId}` });
    expect(chunk?.choices[0]).to.deep.equal({ index: 0, text: 'a', finish_reason: null });
  });

  it('are errors that say, in a frame as in headers, which they are and how long to wait', () => {
    const error = new McpctlError('too_many_requests', 'Slow down.', { retryAfterS: 7 });
    for (const operation of ['chat', 'completions', 'responses', 'messages'] as const) {
      const body = JSON.parse(form(operation).error(error)?.data ?? '{}') as { error: object };
      expect(body.error).to.include({ status: 429, retry_after: 7, message: 'Slow down.' });
    }
  });

  it('are embeddings in the order of their texts, whatever order the backend gives them in', () => {
    const rows = (...indices: (number | undefined)[]): string =>
      JSON.stringify({
        data: indices.map((index, at) => ({ ...(index === undefined ? {} : { index }), embedding: [at] })),
      });
    const order = (body: string): unknown[] => {
      const { data } = JSON.parse(form('embeddings').whole(body)) as {
        data: { index: number; embedding: number[] }[];
      };
      expect(data.map(({ index }) => index)).to.deep.equal(data.map((_, at) => at));
      return data.map(({ embedding: [n] }) => n);
    };
    expect(order(rows(2, 0, 1))).to.deep.equal([1, 2, 0]);
    expect(order(rows(0, 0, 0))).to.deep.equal([0, 1, 2]);
    expect(order(rows(undefined, undefined))).to.deep.equal([0, 1]);
    expect(form('embeddings').whole(rows(0, 1))).to.include('"data":[{"index":0,"embedding":[0]},{"index":1');
  });

  it('are embeddings as the caller wants them written, whatever the backend knows', () => {
    const vector = [0.5, -0.25, 0.1];
    const bytes = Buffer.alloc(12);
    vector.forEach((n, at) => bytes.writeFloatLE(n, at * 4));
    const packed = bytes.toString('base64');
    const body = (embedding: unknown): string =>
      `{"model":"m","big":12345678901234567890,"data":[{"index":0,"embedding":${JSON.stringify(embedding)}}]}`;
    const embeddingAs = (encoding: 'float' | 'base64', embedding: unknown): string =>
      form('embeddings', { encoding }).whole(body(embedding)).replace('"alias"', '"m"');
    for (const embedding of [vector, packed]) {
      expect(embeddingAs('float', embedding)).to.equal(body(vector));
      expect(embeddingAs('base64', embedding)).to.equal(body(packed));
    }
  });

  it('are messages with named events, pings and errors of their own', () => {
    const made = form('messages');
    const start = '{"type":"message_start","message":{"id":"m","model":"tiny","n":1.0}}';
    expect(made.event(start)).to.deep.equal([
      { event: 'message_start', data: start.replace('tiny', 'alias') },
    ]);
    expect(made.keepAlive({ state: 'running' })).to.include({ event: 'ping' });
    const error = made.error(new McpctlError('worker_lost'));
    expect(error?.event).to.equal('error');
    expect(JSON.parse(error?.data ?? '')).to.have.nested.property('error.type', 'api_error');
    expect(made.last(null)).to.deep.equal([]);
    expect(made.whole('{"input_tokens":7}')).to.equal('{"input_tokens":7}');
  });

  it('name no event after what could forge a line', () => {
    expect(form('messages').event('{"type":"a\\nevent: b"}')[0]).to.not.have.property('event');
  });

  it('are responses whose events are numbered without a gap, before and after the backend has begun', () => {
    const made = form('responses');
    const before = [made.keepAlive({ state: 'queued' }), made.keepAlive({ state: 'queued' })];
    const created = { type: 'response.created', sequence_number: 0, response: { id: 'b', model: 'tiny' } };
    const events = made.event(JSON.stringify(created));
    // Nothing that an SDK would throw at: a comment keeps the stream alive.
    expect(made.keepAlive({ state: 'running' })).to.equal(null);
    const later = made.event('{"type":"x","sequence_number":1}');
    const all = [...before, ...events, ...later].filter((frame) => frame !== null);
    expect(all.map(({ event }) => event)).to.deep.equal([
      'response.created',
      'response.queued',
      'response.in_progress',
      'x',
    ]);
    const sent = all.map(({ data }) => JSON.parse(data) as { sequence_number: number; response?: object });
    expect(sent.map((e) => e.sequence_number)).to.deep.equal([0, 1, 2, 3]);
    const id = `resp_${taskId.replaceAll('-', '')}`;
    for (const n of [0, 1, 2]) expect(sent[n]?.response).to.include({ id, model: 'alias' });
    expect(made.error(new McpctlError('worker_lost'))?.event).to.equal('error');
    made.event('{"type":"response.failed","response":{"status":"failed"}}');
    // It has said so, in the words that clients know.
    expect(made.error(new McpctlError('worker_lost'))).to.equal(null);
  });
});
