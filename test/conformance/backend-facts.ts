/**
 * The facts about real backends (llama.cpp's server above all) that a provider over OpenAI's protocol must
 * survive, against the scripted backend. `open` makes the provider for a base URL.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { ForwardCall, LlmProvider, Reply } from '../../worker/providers/provider.ts';
import { answers, chats, hangs, sends, startBackend, type Backend, type Script } from '../support/backend.ts';
import { callOf, readAll } from './provider.ts';

const chunk = (delta: object, finish: string | null = null): string =>
  JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] });

export function survivesRealBackends(open: (url: string) => LlmProvider): void {
  let backend: Backend;
  let provider: LlmProvider;
  beforeEach(async () => {
    backend = await startBackend();
    provider = open(backend.url);
  });
  afterEach(() => backend.close());

  const forward = (call: Partial<ForwardCall> = {}) =>
    provider.forward?.(callOf(call)) ?? expect.fail('the provider has no forward');
  const lastOf = async (script: Script, call: Partial<ForwardCall> = {}) => {
    backend.once(script);
    return (await readAll(forward(call))).last;
  };
  const contents = (events: readonly string[]): unknown[] =>
    events.map((data) => (JSON.parse(data) as { choices: { delta: object }[] }).choices[0]?.delta);

  it('is not hurt by a connection that closes after each stream', async () => {
    const one = async (n: number): Promise<string> => {
      const { last } = await readAll(forward({ streaming: n % 8 !== 0 }));
      return last.kind === 'end' ? 'end' : last.message;
    };
    const outcomes: string[] = [];
    for (let n = 0; n < 200; n++) outcomes.push(await one(n));
    for (let n = 0; n < 200; n += 20) {
      outcomes.push(...(await Promise.all(Array.from({ length: 20 }, (_, i) => one(n + i)))));
    }
    expect(outcomes.filter((outcome) => outcome !== 'end')).to.deep.equal([]);
  });

  it('passes on what the backend sent, null content, timings and all', async () => {
    const { events, last } = await readAll(forward());
    expect(contents(events)).to.deep.equal([
      { role: 'assistant', content: null },
      { content: 'Hello' },
      { content: ' there' },
      {},
      undefined,
    ]);
    const usageChunk = JSON.parse(events.at(-1) ?? '') as Record<string, unknown>;
    expect(usageChunk).to.deep.include({ choices: [] }).and.to.have.property('timings');
    expect(last).to.deep.include({ usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5 } });
  });

  const shapes: Record<string, Parameters<typeof chats>[1]> = {
    'comments between events': { comments: true },
    'CRLF line ends': { eol: '\r\n' },
    'everything in one packet': { packets: 'one' },
    'events and letters torn apart': { packets: 1 },
    'CRLF and comments, torn apart': { packets: 3, eol: '\r\n', comments: true },
    'no [DONE]': { noDone: true },
    'a connection kept open': { closesAfter: false },
  };
  for (const [what, options] of Object.entries(shapes)) {
    it(`reads a stream with ${what}`, async () => {
      backend.once(chats(['Grüße ', '世界 ', '🙂'], options));
      const { events, last } = await readAll(forward());
      expect(contents(events).slice(1, 4)).to.deep.equal([
        { content: 'Grüße ' },
        { content: '世界 ' },
        { content: '🙂' },
      ]);
      expect(last).to.include({ kind: 'end', finishReason: 'stop' });
    });
  }

  it('counts a last event that has no blank line after it', async () => {
    const last = await lastOf(sends(`data: ${chunk({ content: 'a' })}\n\n`, `data: ${chunk({}, 'length')}`));
    expect(last).to.include({ kind: 'end', finishReason: 'length' });
  });

  it('ends at [DONE] though the backend keeps the stream open', async () => {
    const last = await lastOf(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${chunk({}, 'stop')}\n\ndata: [DONE]\n\n`);
    });
    expect(last.kind).to.equal('end');
  });

  it('splices in the model and the wish for usage, and changes nothing else', async () => {
    const body =
      '{ "seed":12345678901234567890, "model" : "asked","temperature":1.0,"x":{"model":1},' +
      '"stream_options":{"y":2}, "stream":true }';
    await readAll(forward({ body, model: 'real/model:7b' }));
    expect((await backend.next('request')).body).to.equal(
      body.replace('"asked"', '"real/model:7b"').replace('{"y":2}', '{"y":2,"include_usage":true}'),
    );
  });

  it('asks each operation at its own path, and passes its answer on as text', async () => {
    const vectors =
      '{"object":"list","data":[{"embedding":[1.0,2e-3]}],"usage":{"prompt_tokens":2,"total_tokens":2}}';
    backend.once(answers(200, vectors));
    const { last } = await readAll(
      forward({ operation: 'embeddings', streaming: false, body: '{"input":"x"}' }),
    );
    expect(last).to.deep.equal({
      kind: 'end',
      status: 200,
      body: vectors,
      usage: { promptTokens: 2, completionTokens: 0, totalTokens: 2 },
    });
    expect(await backend.next('request')).to.include({
      path: '/v1/embeddings',
      body: '{"input":"x","model":"test-model"}',
    });
    await readAll(forward({ operation: 'completions', streaming: false }));
    expect((await backend.next('request')).path).to.equal('/v1/completions');
  });

  it('sends none of the headers that are not for the backend', async () => {
    const headers = {
      'anthropic-beta': 'x',
      authorization: 'Bearer callers',
      cookie: 'c=1',
      connection: 'upgrade',
    };
    await readAll(forward({ headers }));
    const seen = (await backend.next('request')).headers;
    expect(seen).to.include({ 'anthropic-beta': 'x', connection: 'keep-alive' });
    expect(seen).not.to.have.any.keys('cookie', 'authorization');
  });

  it('calls a stream without finish_reason unfinished, whether it ends well or badly', async () => {
    const ended = await lastOf(chats(['a'], { finishReason: null, noDone: true }));
    expect(ended).to.include({ kind: 'failed', code: 'backend_incomplete', retryable: true });
    expect(await lastOf(sends(''))).to.include({ code: 'backend_incomplete' });
    expect(await lastOf(sends(': only comments\n\n'))).to.include({ code: 'backend_incomplete' });
  });

  it('fails when the backend dies, with the events before it passed on', async () => {
    backend.once(chats(['a', 'b', 'c'], { dieAfter: 2 }));
    const { events, last } = await readAll(forward());
    expect(events).to.have.length(3);
    expect(last).to.include({ kind: 'failed', code: 'backend_error', retryable: true });
    expect(await lastOf(({ drop }) => drop())).to.include({ code: 'backend_error', retryable: true });
    const torn: Script = ({ response, drop }) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"choices":', () => drop());
    };
    expect(await lastOf(torn, { streaming: false })).to.include({ code: 'backend_error' });
  });

  it('takes nothing for an answer that is none', async () => {
    const none: [Script, Partial<ForwardCall>][] = [
      [sends('data: not json\n\n'), {}],
      [sends('data: [1]\n\n'), {}],
      [answers(200, '{"choices":[]}'), {}],
      [answers(200, ''), { streaming: false }],
      [answers(200, '{}'), { streaming: false }],
      [answers(200, '{"error":{"message":"no"}}'), { streaming: false }],
      [sends(`data: ${JSON.stringify({ error: { message: 'slot lost' } })}\n\n`, 'data: [DONE]\n\n'), {}],
    ];
    for (const [script, call] of none) {
      expect(await lastOf(script, call)).to.include({
        kind: 'failed',
        code: 'backend_error',
        retryable: true,
      });
    }
    // Something else is at the address that its owner wrote.
    for (const [script, call] of [
      [answers(200, '<html>', { 'content-type': 'text/html' }), {}],
      [answers(200, '<html>'), { streaming: false }],
      [answers(302, '', { location: 'http://127.0.0.1:1/' }), {}],
    ] as [Script, Partial<ForwardCall>][])
      expect(await lastOf(script, call)).to.include({ code: 'backend_misconfigured', blame: 'owner' });
  });

  it('ends with one reply whatever the backend sends', async () => {
    const odd = fc.constantFrom(
      'data: ',
      '\n\n',
      '\n',
      '{',
      '}',
      '"choices":',
      '[null]',
      'null',
      '[DONE]',
      '"error":1',
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(odd).map((parts) => parts.join('')),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), async (sent, streaming) => {
        expect(await lastOf(sends(sent), { streaming })).to.have.property('kind', 'failed');
      }),
      { numRuns: 60 },
    );
  });

  it("hands the backend's 4xx over as it is", async () => {
    const body = '{"error":{"type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":2048}}';
    const rejected = { kind: 'failed', code: 'backend_rejected', status: 400, body, retryable: false };
    expect(await lastOf(answers(400, body))).to.include(rejected);
    expect(await lastOf(answers(400, body), { streaming: false })).to.include(rejected);
    const late = JSON.stringify({ error: { code: 400, message: 'too long' } });
    expect(await lastOf(sends(`data: ${late}\n\n`))).to.include({ ...rejected, body: late });
    const huge = await lastOf(answers(400, 'x'.repeat(1_100_000)));
    expect(huge).to.include({ code: 'backend_rejected', status: 400 }).and.not.to.have.property('body');
  });

  it('tells a wrong key, a busy backend and a broken one apart', async () => {
    const quoting = '{"error":{"message":"Incorrect API key sk-secret"}}';
    for (const status of [401, 403]) {
      const last = await lastOf(answers(status, quoting));
      expect(last).to.include({ code: 'backend_auth_failed', blame: 'owner', status, retryable: true });
      expect(JSON.stringify(last)).not.to.contain('sk-secret');
    }
    const busy = await lastOf(answers(429, '{}', { 'retry-after': '7' }));
    expect(busy).to.include({ code: 'too_many_requests', retryAfterS: 7, retryable: true });
    const broken = { code: 'backend_error', status: 500, retryable: true };
    expect(await lastOf(answers(500, '{}'))).to.include(broken);
    const notYet = { code: 'backend_not_ready', status: 503, retryable: true };
    expect(await lastOf(answers(503, '{}'))).to.include(notYet);
  });

  it('gives up on a backend that is silent, before the first event and between two', async () => {
    const silent = { kind: 'failed', code: 'backend_timeout', retryable: true };
    expect(await lastOf(hangs(), { stallMs: 60 })).to.include(silent);
    await backend.next('closed');
    const stuck: Script = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${chunk({ content: 'a' })}\n\n: still here\n\n`);
    };
    expect(await lastOf(stuck, { stallMs: 60 })).to.include(silent);
    await backend.next('closed');
    expect(await lastOf(hangs(), { stallMs: 20, streaming: false })).to.include(silent);
    await backend.next('closed');
  });

  it('does not count the time that its reader takes as silence', async () => {
    backend.once(chats(['a', 'b']));
    const kinds: string[] = [];
    for await (const reply of forward({ stallMs: 40 })) {
      kinds.push(reply.kind);
      if (kinds.length === 1) await new Promise((resolve) => setTimeout(resolve, 120)); // a slow reader
    }
    expect(kinds.at(-1)).to.equal('end');
  });

  const phases: Record<string, { script: Script; streaming: boolean; events: number }> = {
    'before the first event': { script: hangs(), streaming: true, events: 0 },
    'in the middle of a stream': { script: chats(['a', 'b'], { paced: true }), streaming: true, events: 2 },
    'while a whole answer is made': { script: hangs(), streaming: false, events: 0 },
  };
  for (const [when, { script, streaming, events }] of Object.entries(phases)) {
    it(`closes the backend's connection at an abort ${when}`, async () => {
      backend.once(script);
      backend.release();
      const abort = new AbortController();
      const replies = forward({ streaming, signal: abort.signal })[Symbol.asyncIterator]();
      for (let seen = 0; seen < events;) {
        const { value } = (await replies.next()) as { value: Reply };
        seen += value.kind === 'events' ? value.data.length : expect.fail(value.kind);
      }
      const last = replies.next();
      await backend.next('request');
      const abortedAt = performance.now();
      abort.abort();
      const { closedAt } = await backend.next('closed');
      expect((closedAt ?? Infinity) - abortedAt).to.be.lessThan(500); // ten times the bound
      expect((await last).value).to.include({ kind: 'failed', code: 'task_cancelled', retryable: false });
    });
  }

  it("closes the backend's connection when its reader leaves", async () => {
    backend.once(chats(['a', 'b'], { paced: true }));
    backend.release();
    for await (const _ of forward()) break;
    await backend.next('closed');
  });

  it('holds no more of an answer than its bound', async () => {
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    const endless =
      (type: string, first: string): Script =>
      async ({ response }) => {
        response.writeHead(200, { 'content-type': type });
        response.write(first);
        for (let n = 0; n < 80 && !response.destroyed; n++) {
          await new Promise((resolve) => response.write(mebibyte, resolve));
        }
      };
    const tooLarge = { kind: 'failed', code: 'unstorable_result', retryable: false };
    expect(await lastOf(endless('text/event-stream', 'data: '))).to.include(tooLarge);
    expect(await lastOf(endless('application/json', '{"x":"'), { streaming: false })).to.include(tooLarge);
  });

  it('fails when nobody listens, and names no address', async () => {
    const { url } = backend;
    await backend.close();
    const gone = open(url);
    const { last } = await readAll(gone.forward?.(callOf({})) ?? expect.fail());
    expect(last).to.include({ kind: 'failed', code: 'backend_error', retryable: true });
    expect(JSON.stringify(last)).not.to.contain('127.0.0.1').and.not.to.contain(new URL(url).port);
    expect(await gone.isAvailable(new AbortController().signal)).to.equal(false);
    const thrown: unknown = await gone.listModels(new AbortController().signal).catch((e: unknown) => e);
    expect(String(thrown)).not.to.contain(new URL(url).port);
    backend = await startBackend(); // for afterEach
  });

  it('is not available while the backend loads', async () => {
    backend.down = true;
    expect(await provider.isAvailable(new AbortController().signal)).to.equal(false);
  });

  it('takes another server on its port for no backend', async () => {
    const other = open(`${backend.url}/elsewhere`); // all it says there is 404
    expect(await other.isAvailable(new AbortController().signal)).to.equal(false);
  });
}
