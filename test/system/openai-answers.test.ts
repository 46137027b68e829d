import { expect } from 'chai';
import { answers, chats, startBackend, type Backend, type Script } from '../support/backend.ts';
import { startSystem, transports, until, type System } from '../support/system.ts';

const V1 = '/v1/chat/completions';
const user = { role: 'user', content: 'hi' };
const body = { model: 'house', messages: [user] };
const QUIET_MS = 300;

/** What the answers of /v1 say beside the answer, and what comes while there is none. */
describe('answers of /v1', function () {
  this.timeout(60_000);
  let t: System;
  let backend: Backend;
  const call = (more: object = {}, headers: Record<string, string> = {}): Promise<Response> =>
    t.call('POST', V1, { body: { ...body, ...more }, headers });

  before(async () => {
    t = await startSystem({
      MCPCTL_ADMISSION_MS: String(QUIET_MS),
      MCPCTL_KEEPALIVE_MS: String(QUIET_MS),
      MCPCTL_MAX_USER_TASKS: '50',
    });
    backend = await startBackend();
    await t.startWorker([
      { name: 'desk', poolName: 'house', model: 'big/model:30b', maxConcurrency: 16, backend },
    ]);
  });
  after(async () => {
    await t.close();
    await backend.close();
  });

  for (const stream of [false, true])
    it(`say who gave them, and how long it took, ${stream ? 'streamed' : 'whole'}`, async () => {
      const answer = await call({ stream });
      await answer.text();
      const header = (name: string): string => answer.headers.get(name) ?? '';
      expect(answer.status).to.equal(200);
      expect([header('x-mcpctl-worker'), header('x-mcpctl-model')]).to.deep.equal(['desk', 'big/model:30b']);
      for (const name of ['openai-processing-ms', 'x-mcpctl-queue-ms'])
        expect(header(name), name).to.match(/^\d+$/);
      expect(header('x-mcpctl-task-id')).to.match(/^[0-9a-f-]{36}$/);
      expect(header('x-request-id')).to.match(/./);
      expect(header('x-ratelimit-limit-requests')).to.equal('50');
      expect(Number(header('x-ratelimit-remaining-requests'))).to.be.within(40, 49);
    });

  const refusals: [string, number, unknown, number, (error: Record<string, unknown>) => void][] = [
    [
      'OpenAI’s form, as it is',
      400,
      { error: { message: 'Too long.', code: 7, x: 1 } },
      400,
      (e) => expect(e).to.deep.equal({ message: 'Too long.', code: 7, x: 1 }),
    ],
    [
      'Ollama’s form',
      400,
      { error: 'invalid options: x' },
      400,
      (e) => expect(e).to.include({ message: 'invalid options: x', code: 'backend_rejected' }),
    ],
    [
      'an older vLLM’s form',
      422,
      { object: 'error', message: 'Bad n.' },
      422,
      (e) => expect(e).to.include({ message: 'Bad n.', type: 'invalid_request_error' }),
    ],
    ['plain text', 400, 'Nope.', 400, (e) => expect(e).to.include({ message: 'Nope.' })],
    ['a page', 400, '<html>Nope</html>', 400, (e) => expect(e['message']).to.include('400')],
    [
      'a status that SDKs repeat',
      409,
      { error: { message: 'Busy.' } },
      400,
      (e) => expect(e).to.include({ message: 'Busy.' }),
    ],
  ];
  for (const [name, status, body, seenStatus, check] of refusals)
    it(`tell what a backend refuses: ${name}`, async () => {
      backend.once(answers(status, body));
      const answer = await call();
      expect(answer.status).to.equal(seenStatus);
      expect(answer.headers.get('x-mcpctl-provider')).to.equal('desk');
      expect(answer.headers.get('x-should-retry')).to.equal('false');
      check(((await answer.json()) as { error: Record<string, unknown> }).error);
    });

  /** A streamed call to a backend that is silent for a while; what came before its first word. */
  async function beforeFirst(header?: string): Promise<string> {
    backend.once(chats(['Hello'], { paced: true }));
    const asked = call({ stream: true }, header === undefined ? {} : { 'x-mcpctl-keepalive': header });
    await backend.next('request');
    await new Promise((resolve) => setTimeout(resolve, 6 * QUIET_MS));
    backend.release();
    const text = await (await asked).text();
    expect(text)
      .to.include('"Hello"')
      .and.to.match(/data: \[DONE\]\n\n$/);
    return text.slice(0, text.indexOf('"Hello"'));
  }

  it('are kept alive by chunks without content, which say where the task stands', async () => {
    const text = await beforeFirst();
    expect(text).to.match(/^data: [^\n]*"role":"assistant","content":""[^\n]*"mcpctl":\{"state":"running"\}/);
    expect(text.match(/"mcpctl"/g)?.length).to.be.greaterThan(2);
  });
  it('are kept alive by comments for who asks for them', async () => {
    expect(await beforeFirst('comment')).to.match(/^(: running\n\n)+data: /);
  });
  it('are left alone for who asks for that', async () => {
    const text = await beforeFirst('off');
    expect(text).to.match(/^data: /);
    expect(text).to.not.include('mcpctl');
  });

  it('are JSON after line feeds when they are whole and late', async () => {
    backend.once(chats(['Hello'], { paced: true }));
    const asked = call();
    await backend.next('request');
    await new Promise((resolve) => setTimeout(resolve, 6 * QUIET_MS));
    backend.release();
    const text = await (await asked).text();
    expect(text).to.match(/^\n\n+\{/);
    expect(JSON.parse(text)).to.have.nested.property('choices[0].message.content', 'Hello');
  });

  describe('tell the same of a refusal, whichever way is left', () => {
    const error = { message: 'Too hot.', type: 'odd_error', param: 'temperature', code: 'too_hot', x: 1 };
    const { x: _, ...facts } = error;
    const refuses =
      (afterMs: number): Script =>
      async (exchange) => {
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        await answers(422, { error })(exchange);
      };
    const frameOf = (text: string): Record<string, unknown> =>
      JSON.parse(/^data: (.*"Too hot\.".*)$/m.exec(text)?.[1] ?? '{}') as Record<string, unknown>;
    const early = refuses(0);
    const late = refuses(4 * QUIET_MS);
    after(() => backend.reply(chats(['Hello', ' there'])));
    const ask = async (path: string, more: object = {}): Promise<{ status: number; text: string }> => {
      const answer = await t.call('POST', path, { body: { ...body, max_tokens: 9, input: 'hi', ...more } });
      return { status: answer.status, text: await answer.text() };
    };

    it('a status', async () => {
      backend.reply(early);
      for (const stream of [false, true]) {
        const answer = await ask(V1, { stream });
        expect([answer.status, JSON.parse(answer.text)]).to.deep.equal([422, { error }]);
      }
      const { status, text } = await ask('/v1/responses', { stream: true });
      expect(status).to.equal(422);
      expect(JSON.parse(text)).to.deep.equal({ error });
      const others = await Promise.all([ask('/v1/messages'), ask('/api/chat')]);
      expect(others.map((other) => other.status)).to.deep.equal([422, 422]);
      for (const other of others) expect(other.text).to.include('Too hot.');
    });

    it('a frame, a line, a body after line feeds', async () => {
      backend.reply(late);
      const paths = [V1, '/v1/responses', '/v1/messages', '/api/chat', '/api/v1/llms/house/infer'];
      const asked = [...paths.map((path) => ask(path, { stream: true })), ask(V1), ask('/v1/messages')];
      const [chat, responses, messages, ollama, infer, whole, count] = await Promise.all(asked);
      expect(frameOf(chat?.text ?? '')['error']).to.deep.include({ ...error, status: 422 });
      expect(frameOf(infer?.text ?? '')['error']).to.deep.include(error);
      expect(frameOf(responses?.text ?? '')).to.deep.include({ ...facts, type: 'error' });
      expect(frameOf(responses?.text ?? '')['error']).to.deep.include(error);
      expect(frameOf(messages?.text ?? '')).to.have.nested.property('error.message', 'Too hot.');
      const line = ollama?.text.trim().split('\n').at(-1) ?? '';
      expect(JSON.parse(line)).to.include({ error: 'Too hot.', code: 'too_hot', status: 422 });
      expect([whole?.status, whole?.text.slice(0, 1)]).to.deep.equal([200, '\n']);
      expect(JSON.parse(whole?.text ?? ''))
        .to.have.property('error')
        .that.deep.includes({ ...error, status: 422 });
      expect(JSON.parse(count?.text ?? '')).to.deep.include({
        error: { type: 'invalid_request_error', message: 'Too hot.', status: 422 },
      });
    });

    it('the row, for whoever comes for it later', async () => {
      backend.reply(early);
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm: 'house', request: body } });
      const { id } = (await made.json()) as { id: string };
      const ended = await until(
        () => t.task(id),
        (task) => task.status === 'error',
      );
      const { message, ...reason } = facts;
      expect(ended.error).to.deep.equal({ code: 'backend_rejected', message, reason });
      const stream = await t.call('GET', `/api/v1/tasks/${id}/stream`);
      expect(frameOf(await stream.text())['error']).to.deep.include(error);
      // Also where its body was dropped, as soon as it was delivered.
      const key = { 'idempotency-key': id, 'x-mcpctl-retention': 'none' };
      const once = await call({}, key);
      expect(await once.json()).to.deep.equal({ error });
      const dropped = once.headers.get('x-mcpctl-task-id') ?? '';
      await until(
        () => t.task(dropped),
        (task) => task.response === null,
      );
      const again = await call({}, key);
      expect(await again.json()).to.deep.equal({ error: facts });
      expect(again.status).to.equal(422);
    });
  });

  describe('tell the same of a failure that went back to the queue, whichever way is left', () => {
    /** Model → what its backend says, and what is told of it. `ends`: nobody tries again where nobody waits. */
    const failures: Record<
      string,
      {
        refusal: [number, object, Record<string, string>?];
        error: object;
        status: number;
        reason: object;
        ends?: true;
      }
    > = {
      unable: {
        refusal: [
          400,
          { message: 'It does not support tools', type: 'OddError', param: 'model', code: 'no_tools' },
        ],
        error: { code: 'no_tools', type: 'OddError', param: 'model' },
        status: 400,
        reason: { code: 'no_tools', type: 'OddError', param: 'model' },
        ends: true,
      },
      withdrawn: {
        refusal: [
          404,
          {
            message: 'The model x does not exist',
            type: 'OddError',
            param: 'model',
            code: 'model_not_found',
          },
        ],
        error: { code: 'backend_misconfigured', type: 'server_error', param: 'model' },
        status: 502,
        reason: { code: 'model_not_found', type: 'OddError', param: 'model' },
      },
      busy: {
        refusal: [
          429,
          { message: 'Slow down.', type: 'tokens', param: 'tpm', code: 'limited' },
          { 'retry-after': '77' },
        ],
        error: { code: 'rate_limit_exceeded', type: 'rate_limit_error', param: 'tpm' },
        status: 429,
        reason: { code: 'limited', type: 'tokens', param: 'tpm', retryAfterS: 77 },
      },
      loading: {
        refusal: [503, { message: 'Loading model', type: 'unavailable_error' }, { 'retry-after': '86400' }],
        error: { code: 'upstream_not_ready', type: 'server_error', param: null },
        status: 503,
        reason: { type: 'unavailable_error', retryAfterS: 86_400 },
      },
    };
    /** Each way has an llm of its own: one that has failed rests. */
    const ways = ['status', 'stream', 'infer', 'late', 'frame'] as const;
    const models = Object.keys(failures).flatMap((name) => ways.map((way) => `${name}-${way}`));
    const refuses: Script = async (exchange) => {
      const [name = '', way] = String(exchange.request.json?.['model']).split('-');
      const [status, error, headers] = failures[name]?.refusal ?? [500, {}];
      if (way === 'late' || way === 'frame')
        await new Promise((resolve) => setTimeout(resolve, 4 * QUIET_MS));
      await answers(status, { error }, headers)(exchange);
    };
    before(async () => {
      backend.reply(refuses);
      backend.models.push(...models);
      for (const transport of transports)
        await t.startWorker(
          models.map((model) => ({ name: `${model}-${transport}`, model, backend })),
          { transport },
        );
    });
    after(() => backend.reply(chats(['Hello', ' there'])));

    const ask = (
      llm: string,
      path: string,
      { headers = {}, ...more }: { stream?: true; headers?: Record<string, string> } = {},
    ) => t.call('POST', path, { body: { model: llm, messages: [user], ...more }, headers });
    const errorIn = (text: string): unknown =>
      (JSON.parse(/^(?:data: )?(\{"error".*)$/m.exec(text)?.[1] ?? '{}') as { error?: unknown }).error;

    type Failure = (typeof failures)[string];
    const isToldOf = async (
      transport: (typeof transports)[number],
      [name, { refusal, error, status, reason, ends }]: [string, Failure],
    ): Promise<void> => {
      const llm = (way: (typeof ways)[number]): string => `${name}-${way}-${transport}`;
      const { message = '' } = refusal[1] as { message?: string };
      const waits = refusal[2]?.['retry-after'];
      /** Until it has its status, however late that is. */
      const quiet = { 'x-mcpctl-keepalive': 'off' };
      const key = { 'idempotency-key': llm('status'), ...quiet };
      const asked = [
        ask(llm('status'), V1, { headers: key }),
        ask(llm('stream'), V1, { stream: true, headers: quiet }),
        ask(llm('infer'), `/api/v1/llms/${llm('infer')}/infer`),
        ask(llm('late'), V1),
        ask(llm('frame'), V1, { stream: true }),
      ];
      const answered = await Promise.all(asked);
      const texts = await Promise.all(answered.map((answer) => answer.text()));
      // As a status, with its header.
      for (const at of [0, 1]) {
        expect(answered[at]?.status, `${name}: ${String(texts[at])}`).to.equal(status);
        expect(answered[at]?.headers.get('retry-after')).to.equal(
          waits ? String(Math.min(60, Number(waits))) : null,
        );
        expect(errorIn(texts[at] ?? ''), `way ${at}`).to.deep.include(error);
        expect(texts[at]).to.include(message);
      }
      expect(JSON.parse(texts[2] ?? '')).to.deep.include({ reason });
      // After line feeds, and as a frame.
      for (const at of [3, 4]) {
        expect(answered[at]?.status).to.equal(200);
        const late = { ...error, status, ...(waits ? { retry_after: Number(waits) } : {}) };
        expect(errorIn(texts[at]?.trim() ?? ''), `way ${at}: ${String(texts[at])}`).to.deep.include(late);
      }
      // Whoever comes later: the row, its stream, an equal call; of the time to wait, what is left of it.
      for (const answer of answered) {
        const row = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
        expect(row.error?.message).to.include(message);
        expect(row.error?.reason).to.deep.equal(reason);
        expect(row.attemptLog?.at(-1)?.errorReason).to.deep.equal(reason);
      }
      const id = answered[0]?.headers.get('x-mcpctl-task-id') ?? '';
      const stream = await (await t.call('GET', `/api/v1/tasks/${id}/stream`)).text();
      expect(errorIn(stream)).to.deep.include({ param: (error as { param: unknown }).param });
      const again = await ask(llm('status'), V1, { headers: key });
      expect(again.status).to.equal(status);
      expect(((await again.json()) as { error: unknown }).error).to.deep.include(error);
      if (waits) expect(Number(again.headers.get('retry-after'))).to.be.within(50, 60);
      if (!ends) return;
      const made = await t.call('POST', '/api/v1/tasks', {
        body: { llm: llm('infer'), request: { messages: [user] } },
      });
      const task = await until(
        async () => t.task(((await made.clone().json()) as { id: string }).id),
        (now) => now.status === 'error',
      );
      expect(task.error).to.deep.include({ code: 'no_capable_member', reason });
    };

    for (const transport of transports)
      it(`over ${transport}`, async () => {
        await Promise.all(Object.entries(failures).map((failure) => isToldOf(transport, failure)));
      });
  });

  it('are an error body, with the status that was due, when they fail after their line feeds', async () => {
    backend.once(async (exchange) => {
      await new Promise((resolve) => setTimeout(resolve, 4 * QUIET_MS));
      await answers(429, { error: { message: 'Slow down.' } }, { 'retry-after': '7' })(exchange);
    });
    const answer = await call();
    expect(answer.status).to.equal(200);
    const { error } = (await answer.json()) as { error: object };
    expect(error).to.include({
      code: 'rate_limit_exceeded',
      type: 'rate_limit_error',
      status: 429,
      retry_after: 7,
    });
  });

  it('wait for their status where nothing may be sent', async () => {
    backend.once(async (exchange) => {
      await new Promise((resolve) => setTimeout(resolve, 4 * QUIET_MS));
      await answers(400, { error: { message: 'No.' } })(exchange);
    });
    expect((await call({}, { 'x-mcpctl-keepalive': 'off' })).status).to.equal(400);
  });

  it('record usage on the task, for whoever asked and whatever operation', async () => {
    const usage = { prompt_tokens: 5, total_tokens: 5 };
    const data = [{ index: 0, embedding: [0.5] }];
    backend.once(answers(200, { object: 'list', data, model: 'x', usage }));
    const answer = await t.call('POST', '/v1/embeddings', { body: { model: 'house', input: 'hi' } });
    expect(answer.status).to.equal(200);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ operation: 'embeddings', status: 'completed' });
    expect(task.usage).to.include({ promptTokens: 5, totalTokens: 5 });
  });

  it('come from tasks of any operation that nobody waits for', async () => {
    const data = [{ index: 0, embedding: [0.5] }];
    backend.once(answers(200, { object: 'list', data, model: 'x' }));
    const request = { input: ['hi'] };
    const made = await t.call('POST', '/api/v1/tasks', {
      body: { llm: 'house', operation: 'embeddings', request },
    });
    const { id } = (await made.json()) as { id: string };
    const ended = await until(
      () => t.task(id),
      (task) => task.status === 'completed',
    );
    expect(ended.response).to.deep.include({ data });
  });

  it('count and log the retries of SDKs', async () => {
    backend.once(chats(['x']));
    const finished = t.edge.event('inference.finished', (line) => line['clientRetry'] === 2);
    await (await call({}, { 'x-stainless-retry-count': '2' })).text();
    await finished;
    const metrics = await (await t.call('GET', '/metrics')).text();
    expect(metrics).to.match(/mcpctl_retries_seen_total\{llm="house"\} 1/);
  });

  it('say by the word of OpenAI’s clients that a model is not there', async () => {
    const answer = await call({ model: 'nobody-at-all' });
    expect(await answer.json()).to.have.nested.property('error.code', 'model_not_found');
  });
});
