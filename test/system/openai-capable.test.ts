import { expect } from 'chai';
import { answers, chats, startBackend, type Backend, type Script } from '../support/backend.ts';
import { startSystem, until, type System } from '../support/system.ts';

const user = { role: 'user', content: 'hi' };

/** Answers as the operation has it; each answer takes a moment. */
const both: Script = async (exchange) => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  if (exchange.request.path !== '/v1/embeddings') return chats(['Hello'])(exchange);
  const data = [{ object: 'embedding', index: 0, embedding: [0.5, -0.25] }];
  return answers(200, { object: 'list', data, model: 'm', usage: { prompt_tokens: 1, total_tokens: 1 } })(
    exchange,
  );
};

describe('a pool whose members cannot all do the same', function () {
  this.timeout(120_000);
  let t: System;
  let able: Backend;
  let others: Backend[];
  const posts = (backend: Backend, path: string): number =>
    backend.requests.filter((r) => r.method === 'POST' && r.path === path).length;
  const call = (path: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
    t.call('POST', path, { body: { model: 'mixed', ...body }, headers });
  const embed = (): Promise<Response> => call('/v1/embeddings', { input: 'hi' });
  const chat = (): Promise<Response> => call('/v1/chat/completions', { messages: [user] });

  before(async () => {
    t = await startSystem();
    able = await startBackend();
    others = [await startBackend(), await startBackend()];
    for (const other of others) other.operations = ['chat'];
    for (const backend of [able, ...others]) backend.reply(both);
    const offers = [able, ...others].map((backend, n) => ({
      name: `m${n}`,
      poolName: 'mixed',
      maxConcurrency: 2,
      backend,
    }));
    await Promise.all(offers.map((offer) => t.startWorker([offer])));
    for (const [n, wanted] of [
      [0, 3],
      [1, 1],
      [2, 1],
    ] as const)
      await until(
        () => t.llm(`m${n}`),
        (llm) => llm.capabilities.operations?.length === wanted,
      );
  });
  after(async () => {
    await t.close();
    for (const backend of [able, ...others]) await backend.close();
  });

  it('gives each call to one that can, under load, and keeps all of them busy', async () => {
    const embeddings = Array.from({ length: 60 }, embed);
    const conversations = Array.from({ length: 60 }, chat);
    const statuses = (await Promise.all([...embeddings, ...conversations])).map(({ status }) => status);
    expect(new Set(statuses)).to.deep.equal(new Set([200]));
    expect(posts(able, '/v1/embeddings')).to.equal(60);
    for (const other of others) expect(posts(other, '/v1/embeddings')).to.equal(0);
  });

  it('is quick when nothing else is to do, though most members that look cannot', async () => {
    const from = performance.now();
    for (let n = 0; n < 20; n++) expect((await embed()).status).to.equal(200);
    expect(performance.now() - from).to.be.below(8_000); // 1 to 3 s on a busy machine; 13 s when a job is held aside
  });

  it('tries no member that cannot, when the one that can has failed', async () => {
    const before = others.map((other) => posts(other, '/v1/embeddings'));
    able.once(answers(500, { error: { message: 'out of memory' } }));
    const answer = await embed();
    expect([answer.status, answer.headers.get('x-should-retry')]).to.deep.equal([502, 'true']);
    expect(others.map((other) => posts(other, '/v1/embeddings'))).to.deep.equal(before);
    await until(embed, (again) => again.status === 200, 20_000);
  });

  it('asks another where a backend says that its model has no tools', async () => {
    // Ollama, of a model that was not made for them: nothing said so before.
    const sentence = 'registry.ollama.ai/library/x:latest does not support tools';
    for (const other of others) other.reply(answers(400, { error: { message: sentence } }));
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
    const ask = (headers?: Record<string, string>): Promise<Response> =>
      call('/v1/chat/completions', { messages: [user], tools }, headers);
    for (const answer of await Promise.all(Array.from({ length: 6 }, () => ask())))
      expect(answer.status).to.equal(200);
    const pinned = await ask({ 'x-mcpctl-pin': 'm1' });
    expect(pinned.status).to.equal(400);
    const { error } = (await pinned.json()) as { error: { code: string; message: string } };
    expect(error.code).to.equal('no_capable_member');
    expect(error.message).to.include(sentence);
    for (const other of others) other.reply(both);
    expect(
      (await call('/v1/chat/completions', { messages: [user] }, { 'x-mcpctl-pin': 'm1' })).status,
    ).to.equal(200);
  });

  it('answers for an agent, whole, streamed and later, and is sent the very bytes that compose shows', async () => {
    const made = await t.call('POST', '/api/v1/agents', {
      body: {
        ...{ name: 'reviewer', llm: 'm1', pinMode: 'only', systemPrompt: 'You review.' },
        defaultParams: { temperature: 0.25, max_tokens: 9 },
      },
    });
    expect(made.status).to.equal(201);
    const house = { name: 'style', content: 'Be brief.', agent: 'reviewer' };
    expect((await t.call('POST', '/api/v1/prompts', { body: house })).status).to.equal(201);
    const [backend] = others;
    if (!backend) return expect.fail('no backend');
    const sent = (): Record<string, unknown> =>
      backend.requests.findLast((r) => r.method === 'POST')?.json ?? {};
    const request = { model: 'reviewer', messages: [user, { role: 'system', content: 'Mine.' }] };
    const path = '/v1/chat/completions';
    const whole = await call(path, request);
    expect(whole.status).to.equal(200);
    expect(await whole.json()).to.include({ model: 'reviewer' });
    const shown = await t.call('POST', '/api/v1/agents/reviewer/compose', { body: request });
    const { body } = (await shown.json()) as { body: string };
    const composed = JSON.parse(body) as Record<string, unknown>;
    expect(composed['messages']).to.deep.equal([
      { role: 'system', content: 'You review.\n\nBe brief.\n\nMine.' },
      user,
    ]);
    const { model, ...as } = composed;
    expect(backend.requests.findLast((r) => r.method === 'POST')?.body).to.equal(
      body.replace(JSON.stringify(model), JSON.stringify(sent()['model'])),
    );
    const streamed = await call(path, { ...request, stream: true, max_completion_tokens: 5 });
    expect(await streamed.text())
      .to.include('Hello')
      .and.to.include('[DONE]');
    const { max_tokens: _most, ...rest } = as;
    expect(sent()).to.deep.include({ ...rest, max_completion_tokens: 5, stream: true });
    expect(sent()).not.to.have.property('max_tokens');
    const later = await call(path, request, { prefer: 'respond-async' });
    const { id } = (await later.json()) as { id: string };
    await until(
      () => t.task(id),
      ({ status, claimedLlm }) => status === 'completed' && claimedLlm === 'm1',
    );
    expect(sent()).to.deep.include(as);
  });

  describe('asks another where a backend does not take a parameter with its model', () => {
    // Each as it was seen: egoist/chatwise-releases#940, QwenLM/qwen-code#921, ChatGPTNextWeb/NextChat#3195,
    // openai/openai-dotnet#276, vllm-project/vllm-gaudi#1098, Gitlawb/openclaude#739 (Mistral).
    const refusals: [number, object][] = [
      [
        400,
        {
          ...{ message: "Unsupported parameter: 'temperature' is not supported with this model." },
          ...{ type: 'invalid_request_error', param: 'temperature', code: 'unsupported_parameter' },
        },
      ],
      [
        400,
        {
          ...{
            message: 'max_tokens is too large: 8192. This model supports at most 4096 completion tokens.',
          },
          ...{ type: 'invalid_request_error', param: 'max_tokens', code: 'invalid_value' },
        },
      ],
      [
        400,
        {
          ...{ message: "'response_format' of type 'json_schema' is not supported with model version `x`." },
          ...{ type: 'invalid_request_error', param: 'response_format', code: 'odd' },
        },
      ],
      [
        400,
        {
          ...{ message: "Gaudi doesn't support logprobs. Please remove 'logprobs' from your request." },
          ...{ type: 'BadRequestError', param: 'logprobs', code: 'gaudi' },
        },
      ],
      [
        422,
        { message: 'Extra inputs are not permitted', type: 'extra_forbidden', param: 'store', code: 'extra' },
      ],
    ];
    const asked = { messages: [user], temperature: 0.2, max_tokens: 8_192, logprobs: true, store: false };
    after(() => {
      for (const other of others) other.reply(both);
    });

    for (const [status, error] of refusals)
      it((error as { message: string }).message, async () => {
        for (const other of others) other.reply(answers(status, { error }));
        const before = others.map((other) => posts(other, '/v1/chat/completions'));
        const answered = await Promise.all(
          Array.from({ length: 6 }, (_, n) =>
            call('/v1/chat/completions', { ...asked, stream: n % 2 === 0 }),
          ),
        );
        for (const answer of answered)
          expect([answer.status, (await answer.text()).includes('Hello')]).to.deep.equal([200, true]);
        expect(others.map((other) => posts(other, '/v1/chat/completions'))).to.not.deep.equal(before);
        // Nobody else may have it: it is refused in the backend's own words.
        const pinned = await call('/v1/chat/completions', asked, { 'x-mcpctl-pin': 'm1' });
        expect(pinned.status).to.equal(400);
        expect(((await pinned.json()) as { error: object }).error).to.deep.include(error);
        expect((await t.llm('m1')).status).to.equal('active');
      });
  });

  it('says what is lacking when nobody can', async () => {
    const answer = await call('/v1/embeddings', { input: 'hi' }, { 'x-mcpctl-pin': 'm1' });
    expect(answer.status).to.equal(400);
    const { error } = (await answer.json()) as { error: { type: string; code: string; message: string } };
    expect(error).to.include({ type: 'invalid_request_error', code: 'no_capable_member' });
    expect(error.message).to.include('m1').and.to.include('embeddings');
  });
});

describe('a pool whose members have not all the same room', function () {
  this.timeout(120_000);
  let t: System;
  let small: Backend;
  let large: Backend;
  const posts = (backend: Backend): number => backend.requests.filter((r) => r.method === 'POST').length;
  const ask = (content: string, more: object = {}, headers = {}): Promise<Response> =>
    t.call('POST', '/v1/chat/completions', {
      body: { model: 'rooms', messages: [{ role: 'user', content }], ...more },
      headers,
    });
  const tooLong = answers(400, {
    error: {
      message: "This model's maximum context length is 4096 tokens.",
      type: 'BadRequestError',
      code: 400,
    },
  });

  before(async () => {
    t = await startSystem();
    for (const length of [4_096, 128_000]) {
      const backend = await startBackend();
      const model = { id: 'tiny', object: 'model', owned_by: 'vllm', max_model_len: length };
      backend.routes['/v1/models'] = () => ({ body: { object: 'list', data: [model] } });
      if (length === 4_096) small = backend;
      else large = backend;
      await t.startWorker([{ name: `r${length}`, poolName: 'rooms', backend, maxConcurrency: 2 }]);
      await until(
        () => t.llm(`r${length}`),
        (llm) => llm.capabilities.contextLength === length,
      );
    }
  });
  after(async () => {
    await t.close();
    await small.close();
    await large.close();
  });

  /** 3,701 tokens for the tokenizers that are usual, and 35 kB. */
  const prose = 'incomprehensibilities notwithstanding, '.repeat(900);

  it('sends what is perhaps too long to a member that alone may have it', async () => {
    const before = posts(small);
    for (const path of ['/v1/chat/completions', '/v1/responses', '/v1/messages']) {
      const asked = { model: 'rooms', max_tokens: 4_000, input: prose };
      const answer = await t.call('POST', path, {
        body: { ...asked, messages: [{ role: 'user', content: prose }] },
        headers: { 'x-mcpctl-pin': 'r4096' },
      });
      expect([path, answer.status]).to.deep.equal([path, 200]);
    }
    const ids = Array.from({ length: 5_000 }, (_, n) => n);
    const answer = await t.call('POST', '/v1/embeddings', {
      body: { model: 'rooms', input: ids },
      headers: { 'x-mcpctl-pin': 'r4096' },
    });
    expect(answer.status).to.not.equal(400);
    expect(posts(small)).to.be.above(before + 3);
  });

  it('has it done by the member with more room first', async () => {
    const before = posts(small);
    for (let n = 0; n < 6; n++) expect((await ask(prose)).status).to.equal(200);
    expect(posts(small)).to.equal(before);
  });

  it('keeps a thread from a member that has less room than its last prompt was measured at, and goes on without the other', async () => {
    const counted = (promptTokens: number): Script =>
      answers(200, {
        ...{ id: 'c', object: 'chat.completion', created: 1, model: 'm' },
        choices: [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: promptTokens, completion_tokens: 1, total_tokens: promptTokens + 1 },
      });
    await t.call('POST', '/api/v1/agents', { body: { name: 'roomy', llm: 'r4096' } });
    const say = async (message: string, threadId?: string): Promise<{ status: number; threadId: string }> => {
      const body = { message, ...(threadId !== undefined && { threadId }) };
      const answer = await t.call('POST', '/api/v1/agents/roomy/chat', { body });
      return { status: answer.status, threadId: answer.headers.get('x-mcpctl-thread-id') ?? '' };
    };
    for (const backend of [small, large]) backend.reply(counted(20_000));
    const { threadId } = await say(`${prose}${prose}`);
    const before = posts(small);
    // Both slots of the roomy one are taken, and the small one is idle.
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    large.reply(async (exchange) => {
      await gate;
      return await chats(['Hello'])(exchange);
    });
    const seen = posts(large);
    const holding = [1, 2].map(() => ask('hi', {}, { 'x-mcpctl-pin': 'r128000' }));
    await until(
      async () => posts(large) - seen,
      (count) => count === 2,
    );
    const waiting = say('and now?', threadId);
    await until(
      () =>
        t.call('GET', `/api/v1/threads/${threadId}`).then((answer) => answer.json()) as Promise<{
          turns: number;
        }>,
      ({ turns }) => turns === 2,
    );
    // A short one goes to whoever is free.
    expect((await say('short')).status).to.equal(200);
    const short = posts(small);
    expect(short).to.equal(before + 1);
    large.reply(counted(20_000));
    open();
    await Promise.all(holding);
    expect((await waiting).status).to.equal(200);
    expect(posts(small)).to.equal(short);
  });

  it('asks a member with more room when a backend says that it is too long', async () => {
    small.reply(tooLong);
    const before = [posts(small), posts(large)] as const;
    // Both slots of the other are taken until the small one has had its word.
    large.reply(chats(['Hello'], { paced: true }));
    const holding = [
      ask('hi', {}, { 'x-mcpctl-pin': 'r128000' }),
      ask('hi', {}, { 'x-mcpctl-pin': 'r128000' }),
    ];
    await until(
      async () => posts(large) - before[1],
      (count) => count === 2,
    );
    const asked = [ask('hi'), ask('hi', { stream: true }), ask('hi')];
    await until(
      async () => posts(small) - before[0],
      (refused) => refused >= 3,
    );
    large.release(Infinity);
    for (const answer of await Promise.all([...holding, ...asked]))
      expect([answer.status, (await answer.text()).includes('Hello')]).to.deep.equal([200, true]);
    // Nobody else may have it: its words are the answer.
    const pinned = await ask('hi', {}, { 'x-mcpctl-pin': 'r4096' });
    expect([pinned.status, await pinned.text()]).to.satisfy(
      ([status, text]: [number, string]) => status === 400 && text.includes('4096 tokens'),
    );
  });
});
