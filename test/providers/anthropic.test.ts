import { expect } from 'chai';
import { createAnthropicProvider } from '../../worker/providers/anthropic.ts';
import type { ForwardCall } from '../../worker/providers/provider.ts';
import { callOf, conformsAsProvider, readAll } from '../conformance/provider.ts';
import { messages, refusal, startAnthropic, type Block } from '../support/anthropic.ts';
import { hangs, sends, type Backend } from '../support/backend.ts';

const never = new AbortController().signal;
const openAt = (url: string) =>
  createAnthropicProvider({ name: 'x', url, readKey: async () => 'sk-ant-1', model: 'claude-x' });
const text: Block = { type: 'text', pieces: ['Hello', ' there'] };

describe('the anthropic provider', () => {
  let backend: Backend;
  beforeEach(async () => {
    backend = await startAnthropic();
  });
  afterEach(() => backend.close());

  const read = (call: Partial<ForwardCall>) =>
    readAll(openAt(backend.url).forward?.(callOf({ model: 'claude-x', ...call })) ?? expect.fail());
  const native = (call: Partial<ForwardCall> = {}) =>
    read({
      operation: 'messages',
      body: '{"model":"m","max_tokens":9,"messages":[],"stream":true}',
      ...call,
    });
  /** What Anthropic was asked for a chat body. */
  const askedFor = async (chat: object): Promise<Record<string, unknown>> => {
    const { last } = await read({ streaming: false, body: JSON.stringify(chat) });
    expect(last, JSON.stringify(last)).to.have.property('kind', 'end');
    return (await backend.next('request')).json ?? expect.fail();
  };

  describe('as a provider', () => {
    conformsAsProvider(async () => {
      const own = await startAnthropic();
      const provider = openAt(own.url);
      return { provider, model: 'claude-x', question: 'Hi', close: () => own.close() };
    });
  });

  describe('for messages', () => {
    it('passes the request on as the text it is, with the headers that are for it', async () => {
      const body = '{ "model":"m","max_tokens":9007199254740993,"x":1.0,"messages":[] ,"stream":true}';
      const headers = {
        'anthropic-beta': 'a,b',
        'anthropic-version': '2024-01-01',
        'x-api-key': 'callers',
        'x-mcpctl-endpoint': 'x',
        authorization: 'Bearer callers',
      };
      await native({ body, headers });
      const seen = await backend.next('request');
      expect(seen.body).to.equal(body.replace('"m"', '"claude-x"'));
      expect(seen.path).to.equal('/v1/messages');
      expect(seen.headers).to.include({
        'x-api-key': 'sk-ant-1',
        'anthropic-beta': 'a,b',
        'anthropic-version': '2024-01-01',
      });
      expect(seen.headers).not.to.have.any.keys('authorization', 'x-mcpctl-endpoint');
      await native();
      expect((await backend.next('request')).headers).to.include({ 'anthropic-version': '2023-06-01' });
    });

    it('gives its own events, pings too, and ends at message_stop with all of the usage', async () => {
      backend.reply(messages([text], { pings: true }));
      const { events, last } = await native();
      const types = events.map((data) => (JSON.parse(data) as { type: string }).type);
      expect(types.filter((type) => type !== 'ping')).to.deep.equal([
        'message_start',
        'content_block_start',
        'content_block_delta',
        'content_block_delta',
        'content_block_stop',
        'message_delta',
        'message_stop',
      ]);
      expect(types).to.include('ping');
      expect(last).to.deep.equal({
        kind: 'end',
        status: 200,
        finishReason: 'end_turn',
        usage: { promptTokens: 10, completionTokens: 2, totalTokens: 12 },
      });
    });

    it('ends at message_stop though the stream stays open, and calls one without it unfinished', async () => {
      backend.once(({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        // Their names alone say what they are.
        response.write('event: message_start\ndata: {}\n\nevent: message_stop\ndata: {}\n\n');
      });
      const { events, last } = await native();
      expect(events.join()).to.match(/message_start.*message_delta.*"stop_reason":"end_turn".*message_stop/);
      expect(last).to.have.property('kind', 'end');
      backend.once(messages([text], { cutAfter: 5 }));
      expect((await native()).last).to.include({ code: 'backend_incomplete', retryable: true });
    });

    it('answers whole, and counts tokens at the path for that', async () => {
      const { last } = await native({ streaming: false, body: '{"max_tokens":9,"messages":[]}' });
      expect(last).to.include({ kind: 'end', finishReason: 'end_turn' });
      expect(last).to.have.property('body').that.contains('"content":[{"type":"text","text":"Hello there"}]');
      await backend.next('request');
      backend.once(({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"input_tokens":7}');
      });
      const counted = await native({
        streaming: false,
        body: '{"messages":[]}',
        headers: { 'x-mcpctl-endpoint': 'count_tokens' },
      });
      expect(counted.last).to.deep.equal({ kind: 'end', status: 200, body: '{"input_tokens":7}' });
      expect((await backend.next('request')).path).to.equal('/v1/messages/count_tokens');
    });

    it('does not do what Anthropic has not', async () => {
      for (const operation of ['embeddings', 'completions', 'responses'] as const) {
        expect((await native({ operation })).last).to.include({ code: 'no_capable_member' });
      }
      expect(backend.requests).to.deep.equal([]);
    });
  });

  describe('for a chat', () => {
    it('asks with system texts apart, images, tool calls and their results', async () => {
      const asked = await askedFor({
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Look' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'here' },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
              { type: 'image_url', image_url: { url: 'https://pictures.example/a.png' } },
            ],
          },
          {
            role: 'assistant',
            content: null,
            tool_calls: [
              { id: 't1', type: 'function', function: { name: 'now', arguments: '' } },
              { id: 't2', type: 'function', function: { name: 'add', arguments: '{"a":1}' } },
            ],
          },
          { role: 'tool', tool_call_id: 't1', content: 'noon' },
          { role: 'tool', tool_call_id: 't2', content: [{ type: 'text', text: '2' }] },
          { role: 'developer', content: [{ type: 'text', text: 'And kind.' }] },
        ],
        max_completion_tokens: 50,
        max_tokens: 40,
        temperature: 1.7,
        top_p: 0.5,
        stop: 'END',
        user: 'anna',
        seed: 7,
        reasoning_effort: 'minimal',
      });
      expect(asked).to.deep.equal({
        model: 'claude-x',
        system: [
          { type: 'text', text: 'Be brief.' },
          { type: 'text', text: 'And kind.' },
        ],
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Look' },
              { type: 'text', text: 'here' },
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
              { type: 'image', source: { type: 'url', url: 'https://pictures.example/a.png' } },
            ],
          },
          {
            role: 'assistant',
            content: [
              { type: 'tool_use', id: 't1', name: 'now', input: {} },
              { type: 'tool_use', id: 't2', name: 'add', input: { a: 1 } },
            ],
          },
          {
            role: 'user',
            content: [
              { type: 'tool_result', tool_use_id: 't1', content: [{ type: 'text', text: 'noon' }] },
              { type: 'tool_result', tool_use_id: 't2', content: [{ type: 'text', text: '2' }] },
            ],
          },
        ],
        max_tokens: 50,
        top_p: 0.5,
        stop_sequences: ['END'],
        // The conversation has called them: Anthropic wants them told, and they are not to be called.
        tools: ['now', 'add'].map((name) => ({ name, input_schema: { type: 'object', properties: {} } })),
        tool_choice: { type: 'none' },
        metadata: { user_id: 'anna' },
        output_config: { effort: 'low' },
      });
    });

    it('asks with tools, a choice among them and a schema', async () => {
      const parameters = { type: 'object', properties: { a: { type: 'number' } } };
      const tools = [
        { type: 'function', function: { name: 'add', description: 'adds', parameters, strict: true } },
        { type: 'function', function: { name: 'now' } },
      ];
      const messages = [{ role: 'user', content: 'Hi' }];
      const schema = { type: 'object' };
      const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
      const asked = await askedFor({ messages, tools, response_format: format, tool_choice: 'required' });
      expect(asked).to.deep.include({
        tools: [
          {
            name: 'add',
            description: 'adds',
            input_schema: { ...parameters, additionalProperties: false },
            strict: true,
          },
          { name: 'now', input_schema: { type: 'object', properties: {} } },
        ],
        tool_choice: { type: 'any' },
        output_config: {
          format: { type: 'json_schema', schema: { ...schema, additionalProperties: false } },
        },
      });
      const choices: [object, object | undefined][] = [
        [{}, undefined],
        [{ tool_choice: 'none' }, { type: 'none' }],
        [{ parallel_tool_calls: false }, { type: 'auto', disable_parallel_tool_use: true }],
        [{ tool_choice: { type: 'function', function: { name: 'add' } } }, { type: 'tool', name: 'add' }],
      ];
      for (const [choice, expected] of choices) {
        expect((await askedFor({ messages, tools, ...choice }))['tool_choice']).to.deep.equal(expected);
      }
    });

    it('gives an answer a limit where its caller does not: that of the model, once it is known', async () => {
      const messages = [{ role: 'user', content: 'Hi' }];
      expect(await askedFor({ messages })).to.include({ max_tokens: 4_096 });
      const provider = openAt(backend.url);
      await provider.probe?.('claude-x', never);
      await provider.complete({ model: 'claude-x', messages, signal: never });
      expect((await backend.next('request')).json).to.include({ max_tokens: 8_192 });
    });

    it('refuses what it cannot say to Anthropic, before it asks', async () => {
      const messages = [{ role: 'user', content: 'Hi' }];
      const refused: [object, string][] = [
        [{ messages, n: 2 }, 'n: must be 1'],
        [{ messages, logprobs: true }, 'logprobs'],
        [{ messages, response_format: { type: 'json_object' } }, 'response_format.type'],
        [{ messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] }, 'messages.0'],
        [{ messages: [] }, 'messages'],
      ];
      for (const [chat, why] of refused) {
        const { last } = await read({ body: JSON.stringify(chat) });
        expect(last).to.include({ kind: 'failed', code: 'invalid_request', retryable: false });
        expect(last).to.have.property('message').that.contains(why);
      }
      expect(backend.requests).to.deep.equal([]);
    });
  });

  describe("for a chat's answer", () => {
    const blocks: Block[] = [
      { type: 'thinking', pieces: ['hm'] },
      { type: 'text', pieces: ['Let ', 'me.'] },
      { type: 'tool_use', id: 't1', name: 'add', pieces: ['{"a"', ':1}'] },
      { type: 'tool_use', id: 't2', name: 'now', pieces: [] },
    ];

    it('streams chunks: text, reasoning, tool calls by index, the reason, the usage', async () => {
      backend.once(messages(blocks, { stopReason: 'tool_use', pings: true }));
      const { events, last } = await read({});
      const seen = events.map(
        (data) => JSON.parse(data) as Record<string, unknown> & { choices: { delta: object }[] },
      );
      for (const chunk of seen) {
        expect(chunk).to.include({ id: 'msg_1', object: 'chat.completion.chunk', model: 'claude-x' });
      }
      expect(seen.map((chunk) => chunk.choices[0]?.delta)).to.deep.equal([
        { role: 'assistant', content: '' },
        { reasoning_content: 'hm' },
        { content: 'Let ' },
        { content: 'me.' },
        { tool_calls: [{ index: 0, id: 't1', type: 'function', function: { name: 'add', arguments: '' } }] },
        { tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] },
        { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] },
        { tool_calls: [{ index: 1, id: 't2', type: 'function', function: { name: 'now', arguments: '' } }] },
        { tool_calls: [{ index: 1, function: { arguments: '{}' } }] },
        {},
        undefined,
      ]);
      expect(seen.at(-2)?.choices[0]).to.include({ finish_reason: 'tool_calls' });
      expect(seen.at(-1)).to.deep.include({
        usage: {
          prompt_tokens: 10,
          completion_tokens: 5,
          total_tokens: 15,
          prompt_tokens_details: { cached_tokens: 5 },
        },
      });
      expect(last).to.deep.include({ kind: 'end', finishReason: 'tool_calls' });
      expect((await backend.next('request')).json).to.include({ stream: true });
    });

    it('is whole where it is asked for so', async () => {
      backend.once(messages(blocks, { stopReason: 'tool_use' }));
      const { last } = await read({ streaming: false });
      const body = JSON.parse((last.kind === 'end' && last.body) || '{}') as object;
      expect(body).to.deep.include({
        object: 'chat.completion',
        model: 'claude-x',
        choices: [
          {
            index: 0,
            finish_reason: 'tool_calls',
            logprobs: null,
            message: {
              role: 'assistant',
              content: 'Let me.',
              refusal: null,
              reasoning_content: 'hm',
              tool_calls: [
                { id: 't1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } },
                { id: 't2', type: 'function', function: { name: 'now', arguments: '{}' } },
              ],
            },
          },
        ],
      });
    });

    it('ends for a reason that OpenAI has', async () => {
      const reasons = {
        end_turn: 'stop',
        stop_sequence: 'stop',
        max_tokens: 'length',
        model_context_window_exceeded: 'length',
        refusal: 'content_filter',
        something_new: 'stop',
      };
      for (const [stopReason, finishReason] of Object.entries(reasons)) {
        backend.once(messages([text], { stopReason }));
        expect((await read({})).last).to.include({ kind: 'end', finishReason });
      }
      backend.once(messages([text], { cutAfter: 5 }));
      expect((await read({})).last).to.include({ code: 'backend_incomplete' });
    });

    it('tells a refusal in OpenAI’s form, an overload as another member’s chance, a wrong key as the owner’s', async () => {
      backend.once(refusal(400, 'invalid_request_error', 'prompt is too long: 9 tokens > 8 maximum'));
      const { last } = await read({});
      expect(last).to.include({ code: 'backend_rejected', status: 400, retryable: false });
      expect(JSON.parse((last.kind === 'failed' && last.body) || '{}')).to.deep.equal({
        error: {
          message: 'prompt is too long: 9 tokens > 8 maximum',
          type: 'invalid_request_error',
          param: null,
          code: 'context_length_exceeded',
        },
      });
      for (const operation of ['chat', 'messages'] as const) {
        const fails = async (script: Parameters<Backend['once']>[0]) => {
          backend.once(script);
          return (await (operation === 'chat' ? read({}) : native())).last;
        };
        expect(await fails(refusal(529, 'overloaded_error', 'busy'))).to.include({
          code: 'backend_not_ready',
          retryable: true,
        });
        expect(await fails(refusal(429, 'rate_limit_error', 'slow'))).to.include({
          code: 'too_many_requests',
        });
        const wrong = await fails(refusal(401, 'authentication_error', 'sk-ant-1 is wrong'));
        expect(wrong).to.include({ code: 'backend_auth_failed' });
        expect(JSON.stringify(wrong)).not.to.contain('sk-ant');
        const late =
          'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n';
        expect(await fails(sends(late))).to.include({
          code: 'backend_not_ready',
          status: 529,
          retryable: true,
        });
      }
      backend.once(refusal(400, 'invalid_request_error', 'no'));
      expect((await native()).last)
        .to.have.property('body')
        .that.contains('"type":"error"');
    });

    it('is given up on when Anthropic is silent', async () => {
      backend.once(hangs());
      expect((await read({ stallMs: 60 })).last).to.include({ code: 'backend_timeout', retryable: true });
      await backend.next('closed');
    });
  });

  it('lists its models with what each can do', async () => {
    const provider = openAt(backend.url);
    const capabilities = {
      operations: ['chat', 'messages'],
      contextLength: 200_000,
      vision: true,
      reasoning: false,
    };
    expect(await provider.listModels(never)).to.deep.equal([
      { id: 'claude-x', contextLength: 200_000, capabilities },
    ]);
    expect(await provider.probe?.('claude-x', never)).to.deep.equal({ capabilities });
    expect(await provider.probe?.('claude-alias', never)).to.deep.equal({
      capabilities: { operations: ['chat', 'messages'] },
    });
    const before = await provider.modelsFingerprint?.(never);
    backend.models.push('claude-y');
    expect(await provider.modelsFingerprint?.(never)).not.to.equal(before);
    expect(await createAnthropicProvider({ name: 'x', url: backend.url }).isAvailable(never)).to.equal(false);
    expect(backend.requests).to.deep.equal([]);
  });
});
