import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { ForwardCall } from '../../worker/providers/provider.ts';
import { endpointsAt } from '../../worker/providers/http/url.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { callOf, readAll } from '../conformance/provider.ts';
import { answers, sends, startBackend, type Backend, type Script } from '../support/backend.ts';

const frame = (body: object): string => `data: ${JSON.stringify(body)}\n\n`;
const choice = (delta: object, finish: string | null = null, index = 0): string =>
  frame({ choices: [{ index, delta, finish_reason: finish }] });
const hello = choice({ content: 'hello' });
const stop = choice({}, 'stop');
const tool = choice({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }] });
/** Sends this, and then what `then` does. */
const open =
  (sent: string, then: (exchange: Parameters<Script>[0]) => void = () => undefined): Script =>
  (exchange) => {
    exchange.response.writeHead(200, { 'content-type': 'text/event-stream' });
    exchange.response.write(sent, () => then(exchange));
  };

describe('a backend as it is in the world', () => {
  let backend: Backend;
  beforeEach(async () => {
    backend = await startBackend();
  });
  afterEach(() => backend.close());
  const read = (script: Script, call: Partial<ForwardCall> = {}, params?: { drop: string[] }) => {
    backend.once(script);
    const rules = params && { add: {}, rename: {}, ...params };
    const provider = createOpenAiProvider({ name: 'x', url: backend.url, params: rules });
    return readAll(provider.forward?.(callOf(call)) ?? expect.fail());
  };

  it('refuses a stream in JSON as it refuses a whole call, whatever it calls it (llama.cpp)', async () => {
    const body = JSON.stringify({
      error: { message: 'request (9001 tokens) exceeds the context', code: 400 },
    });
    const refused = { code: 'backend_rejected', status: 400, body, retryable: false };
    for (const streaming of [true, false])
      expect((await read(answers(200, body), { streaming })).last).to.include(refused);
    for (const type of ['text/event-stream', 'text/plain', ''])
      expect((await read(answers(200, body, { 'content-type': type }))).last).to.include(refused);
  });

  it('that gives all of its answer at once, though a stream was asked for, has it streamed', async () => {
    const whole = { choices: [{ index: 0, message: { content: 'hi' }, finish_reason: 'stop' }] };
    const { events, last } = await read(answers(200, whole));
    expect(events.join()).to.contain('"delta":{"content":"hi"}');
    expect(last).to.include({ kind: 'end', finishReason: 'stop' });
  });

  it('that streams its answer, though all of it was asked for at once, has it put together', async () => {
    const { last, events } = await read(
      sends(': hi\n\n', hello, choice({ content: ' you' }), stop, 'data: [DONE] \n\n'),
      {
        streaming: false,
      },
    );
    expect(events).to.deep.equal([]);
    expect(last).to.include({ kind: 'end', finishReason: 'stop' });
    expect(last).to.have.property('body').that.contains('"content":"hello you"');
    const broken = await read(sends(hello), { streaming: false });
    expect(broken.last).to.include({ code: 'backend_incomplete' });
    const refusal = sends('data: {"error":{"message":"Too hot.","code":400,"param":"temperature"}}\n\n');
    expect((await read(refusal, { streaming: false })).last).to.include({
      code: 'backend_rejected',
      status: 400,
    });
    const refused = answers(422, 'event: error\ndata: {"error":"Too hot."}\n\n', {
      'content-type': 'text/event-stream',
    });
    for (const streaming of [true, false])
      expect((await read(refused, { streaming })).last).to.include({ message: 'Too hot.', status: 422 });
  });

  it('gets its key as its address asks for it (Azure)', async () => {
    const keys: unknown[] = [];
    for (const [path, key] of [
      ['/openai/deployments/d?api-version=2024-10-21', 'a-key'],
      ['/openai/deployments/d?api-version=2024-10-21', 'eyJhbGciOi.eyJ.x'],
      ['/v1', 'a-key'],
    ] as const) {
      backend.once(sends(hello, stop));
      const readKey = () => Promise.resolve(key);
      const provider = createOpenAiProvider({ name: 'x', url: backend.url + path, readKey });
      await readAll(provider.forward?.(callOf({})) ?? expect.fail());
      const { headers, path: asked } = backend.requests.at(-1) ?? expect.fail();
      keys.push([asked, headers['api-key'], headers['authorization']]);
    }
    const azure = '/openai/deployments/d/chat/completions?api-version=2024-10-21';
    expect(keys).to.deep.equal([
      [azure, 'a-key', undefined],
      [azure, undefined, 'Bearer eyJhbGciOi.eyJ.x'],
      ['/v1/chat/completions', undefined, 'Bearer a-key'],
    ]);
  });

  it('has ended once each choice has, though it says no more, or breaks off', async () => {
    const ends: Script[] = [
      open(hello + stop, ({ response }) => {
        const timer = setInterval(() => response.write(': still here\n\n'), 20);
        response.on('close', () => clearInterval(timer));
      }),
      open(hello + stop, ({ drop }) => drop()),
      open(`${hello}${stop}data: oops\n\n`),
      open(`${hello}${stop}${frame({ error: { message: 'usage failed' } })}`),
    ];
    for (const script of ends)
      expect((await read(script, { stallMs: 5_000 })).last).to.include({ kind: 'end', finishReason: 'stop' });
  });

  it('has not ended while one of its choices has not', async () => {
    const other = choice({ content: 'b' }, null, 1);
    const one = choice({ content: 'a' }, 'stop');
    const cut: Script[] = [
      sends(other, one),
      sends(other, one, 'data: [DONE]\n\n'),
      open(other + one, ({ drop }) => drop()),
    ];
    for (const script of cut) expect((await read(script)).last).to.have.property('kind', 'failed');
    const body = JSON.stringify({ messages: [], n: 2 });
    expect(
      (
        await read(
          open(one, ({ drop }) => drop()),
          { body },
        )
      ).last,
    ).to.have.property('kind', 'failed');
    expect((await read(sends(one, 'data: [DONE]\n\n'), { body })).last).to.have.property('kind', 'end');
  });

  it('that never gives a reason has finished when it says so, and its owner is told', async () => {
    const { events, last } = await read(sends(hello, 'data: [DONE] \n\n'));
    expect(events.at(-1)).to.contain('"finish_reason":"stop"');
    expect(last).to.include({ kind: 'end', finishReason: 'stop' }).and.to.have.property('remark');
    expect((await read(sends('data: [DONE]\n\n'))).last).to.include({ code: 'backend_incomplete' });
  });

  it('lives as long as bytes come', async () => {
    const script: Script = async ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let n = 0; n < 10; n++) {
        response.write(': working\n\n');
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      response.end(hello + stop);
    };
    expect((await read(script, { stallMs: 250 })).last).to.have.property('kind', 'end');
  });

  it('lives whatever its bytes are: half an event, an encoding’s own, what comes before an answer', async () => {
    const wait = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));
    const drip = async (write: (text: string) => unknown, text: string): Promise<void> => {
      for (let at = 0; at < text.length; at += Math.ceil(text.length / 8)) {
        write(text.slice(at, at + Math.ceil(text.length / 8)));
        await wait(60);
      }
    };
    const whole = JSON.stringify({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] });
    const ways: Record<string, [Script, Partial<ForwardCall>]> = {
      'half an event': [
        async ({ response }) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          await drip((text) => response.write(text), hello + stop);
          response.end();
        },
        {},
      ],
      'an encoding’s own': [
        async ({ response }) => {
          response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
          // Nothing comes of its head, with a comment in it.
          const gzip = gzipSync(hello + stop).toString('latin1');
          const head = `${gzip.slice(0, 3)}\x10${gzip.slice(4, 10)}${'x'.repeat(2_000)}\0`;
          await drip((piece) => response.write(Buffer.from(piece, 'latin1')), head + gzip.slice(10));
          response.end();
        },
        {},
      ],
      'a whole answer': [
        async ({ response }) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          await drip((text) => response.write(text), whole);
          response.end();
        },
        { streaming: false, stallMs: 50 },
      ],
      'what comes before an answer': [
        async ({ response }) => {
          for (let n = 0; n < 8; n++) {
            response.writeProcessing();
            await wait(60);
          }
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(whole);
        },
        { streaming: false, stallMs: 50 },
      ],
    };
    const ended = await Promise.all(
      Object.entries(ways).map(async ([way, [script, how]]) => [
        way,
        (await read(script, { stallMs: 250, ...how })).last,
      ]),
    );
    expect(ended.filter(([, last]) => (last as { kind: string }).kind !== 'end')).to.deep.equal([]);
  });

  it('is not silent while it is still being told what to do', async () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(4_000_000) }] });
    const slowly: Script = async (exchange) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await sends(hello, stop, 'data: [DONE]\n\n')(exchange);
    };
    expect((await read(slowly, { body, stallMs: 100 })).last).to.have.property('kind', 'end');
  });

  it('is not silent while it reads what it was sent, whatever it says before its first word', async () => {
    const late = open(`: reading\n\n${choice({ role: 'assistant', content: '' })}`, ({ response }) =>
      setTimeout(() => response.end(`${hello}${stop}data: [DONE]\n\n`), 400),
    );
    const whole: Script = async (exchange) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await answers(200, { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] })(exchange);
    };
    const body = (length: number) =>
      JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(length) }] });
    const [long, short] = [body(40_000), body(400)];
    expect((await read(late, { body: long, stallMs: 50 })).last).to.have.property('kind', 'end');
    expect((await read(late, { body: short, stallMs: 50 })).last).to.include({ code: 'backend_timeout' });
    const asked = { stallMs: 20, streaming: false };
    expect((await read(whole, { ...asked, body: long })).last).to.have.property('kind', 'end');
    expect((await read(whole, { ...asked, body: short })).last).to.include({ code: 'backend_timeout' });
  });

  it('has called tools where it brings them, whatever it calls its end', async () => {
    const { events, last } = await read(sends(tool, stop, 'data: [DONE]\n\n'));
    expect(events.at(-1)).to.contain('"finish_reason":"tool_calls"');
    expect(last).to.include({ finishReason: 'tool_calls' });
    expect((await read(sends(hello, choice({}, 'tool_calls')))).last).to.include({ finishReason: 'stop' });
    for (const end of ['eos_token', 'function_call'])
      expect((await read(sends(tool, choice({}, end)))).last).to.include({ finishReason: 'tool_calls' });
    const message = { content: null, tool_calls: [{ id: 'a' }] };
    const whole = { choices: [{ message, finish_reason: 'stop' }] };
    const { last: end } = await read(answers(200, whole), { streaming: false });
    expect(end).to.include({ finishReason: 'tool_calls' });
    expect(end).to.have.property('body').that.contains('"finish_reason":"tool_calls"');
  });

  it('that fails within its answer is a failure, however it says so (OpenRouter, vLLM, TGI)', async () => {
    for (const error of [
      { choices: [{ index: 0, delta: {}, finish_reason: 'error' }], error: { code: 502, message: 'gone' } },
      { choices: [{ index: 0, delta: {}, finish_reason: 'abort' }] },
      { object: 'error', message: 'gone', code: 500 },
      { error: 'Request failed during generation', error_type: 'generation' },
      { detail: 'gone' },
    ])
      expect((await read(sends(hello, frame(error)))).last, JSON.stringify(error)).to.include({
        code: 'backend_error',
      });
    const named = await read(sends(hello, 'event: error\ndata: too bad\n\n'));
    expect(named.last).to.have.property('message').that.contains('too bad');
  });

  it('that fails in the middle of a stream is heard, also where it forgets to make that an event', async () => {
    // open-webui/open-webui#27074: what stands behind a gateway writes its error as a line of JSON.
    for (const sent of [
      `${hello}{"error":{"message":"gone","code":429}}\n`,
      `${hello}{"error":{"message":"gone","code":429}}`,
    ])
      expect((await read(sends(sent))).last).to.include({ code: 'too_many_requests' });
  });

  it('gives as many vectors as there were texts', async () => {
    const ask = { operation: 'embeddings', streaming: false, body: '{"input":["a","b"]}' } as const;
    expect((await read(answers(200, { data: [{}] }), ask)).last).to.include({ code: 'backend_incomplete' });
    expect(
      (await read(answers(200, { data: [{ embedding: [0.5] }, { embedding: 'AAAAPw==' }] }), ask)).last,
    ).to.have.property('kind', 'end');
  });

  it('is not asked for what its owner has left out, nor again for what it refuses of ours', async () => {
    await read(sends(hello, stop), {}, { drop: ['stream_options'] });
    expect((await backend.next('request')).body).not.to.contain('stream_options');
    const provider = createOpenAiProvider({ name: 'x', url: backend.url });
    backend.once(answers(422, { detail: [{ loc: ['body', 'stream_options'], msg: 'Extra inputs' }] }));
    backend.reply(sends(hello, stop));
    for (const asks of [true, false, false]) {
      if (!asks)
        expect((await readAll(provider.forward?.(callOf({})) ?? expect.fail())).last.kind).to.equal('end');
      else await readAll(provider.forward?.(callOf({})) ?? expect.fail());
    }
    const bodies = backend.requests.slice(1).map(({ body }) => body.includes('stream_options'));
    expect(bodies).to.deep.equal([true, false, false, false]);
  });

  it('may encode its answer although it was asked not to, or is told that nobody can read it', async () => {
    const whole = JSON.stringify({ choices: [{ message: { content: 'hi' }, finish_reason: 'stop' }] });
    const encoded =
      (bytes: Buffer | string, encoding: string): Script =>
      ({ response }) =>
        void response.writeHead(200, { 'content-encoding': encoding }).end(bytes);
    const call = { streaming: false };
    expect((await read(encoded(gzipSync(whole), 'gzip'), call)).last).to.include({
      kind: 'end',
      body: whole,
    });
    for (const [bytes, encoding] of [
      [brotliCompressSync(whole), 'br'],
      [deflateSync(whole), 'deflate'],
      [gzipSync(whole), 'X-GZIP'],
      [brotliCompressSync(gzipSync(whole)), 'gzip, br'],
      [whole, 'identity'],
    ] as const)
      expect((await read(encoded(bytes, encoding), call)).last, encoding).to.include({ body: whole });
    const zstd = Buffer.from('28b52ffd2400', 'hex');
    for (const [bytes, encoding] of [
      [gzipSync(whole).subarray(0, 20), 'gzip'],
      ['x'.repeat(20), 'deflate'],
    ] as const)
      expect((await read(encoded(bytes, encoding), call)).last).to.include({ code: 'backend_error' });
    expect((await read(encoded(zstd, 'zstd'), call)).last)
      .to.have.property('message')
      .that.contains('zstd');
  });

  it('asks to wait with seconds or a date, within reason', async () => {
    const asked = async (header: string, name = 'retry-after'): Promise<unknown> => {
      const { last } = await read(answers(503, {}, { [name]: header }));
      return last.kind === 'failed' ? last.retryAfterS : undefined;
    };
    expect(await asked('7')).to.equal(7);
    expect(await asked('1500', 'retry-after-ms')).to.equal(1.5);
    expect(await asked(new Date(Date.now() + 30_000).toUTCString())).to.be.within(25, 31);
    expect(await asked('1'.repeat(40))).to.equal(86_400);
    for (const none of ['soon', '-5', 'NaN', new Date(0).toUTCString()])
      expect(await asked(none)).to.equal(undefined);
  });

  it('keeps a stream of Responses alive by events that its clients would throw at', async () => {
    const done = frame({
      type: 'response.completed',
      response: { status: 'completed', usage: { total_tokens: 1 } },
    });
    const { events, last } = await read(sends(frame({ type: 'keepalive' }), done), {
      operation: 'responses',
    });
    expect(events).to.have.length(1);
    expect(last.kind).to.equal('end');
  });

  it('is called as its address was written out', () => {
    const written: Record<string, string> = {
      'http://h/inference/chat/completions': 'http://h/inference/chat/completions',
      'https://a/openai/deployments/d/chat/completions?api-version=1':
        'https://a/openai/deployments/d/chat/completions?api-version=1',
      'https://h/v1/models': 'https://h/v1/chat/completions',
      'https://h/api/paas/v4/': 'https://h/api/paas/v4/chat/completions',
      'https://h/v1beta/openai/': 'https://h/v1beta/openai/chat/completions',
      'https://a/openai/deployments/d?api-version=1':
        'https://a/openai/deployments/d/chat/completions?api-version=1',
      'http://h/x': 'http://h/x/v1/chat/completions',
    };
    for (const [url, endpoint] of Object.entries(written))
      expect(endpointsAt(url).of('chat').href).to.equal(endpoint);
    expect(endpointsAt('http://h/inference/chat/completions').models.href).to.equal(
      'http://h/inference/models',
    );
  });
});
