import { expect } from 'chai';
import { cookieFor } from '../support/admin.ts';
import { createCanaries, foundIn, livesOf, storedNow, type Phase } from '../support/canaries.ts';
import { createPublic, startHosted } from '../support/hosted.ts';
import type { TestProcess } from '../support/process.ts';
import {
  startSystem,
  transports,
  until,
  type System,
  type TransportKind,
  type WorkerProcess,
} from '../support/system.ts';

/** Those whose backend fails have an llm of their own, because it rests afterwards. */
const ill = ['failed', 'denied', 'crashed', 'garbled'] as const satisfies readonly Phase[];
const EVENTS_KEPT_MS = 600_000;
const keyOfLine = (line: string): string => line.split(' ', 1)[0] ?? '';

/**
 * What Redis may hold of anybody's words, and for how long: of a task that has not ended its request (`t:{P}:T:in`),
 * and the events of a streamed answer (`t:{P}:T:s`), which go `MCPCTL_EVENT_KEEP_MS` after its end. The end of a
 * stream is its last entry, so that of a task that was not streamed is the whole answer, or the refusal of a backend,
 * which may quote the request.
 */
const requestKey = /^t:\{[0-9a-f]{16}\}:[0-9a-f-]{36}:in$/;
const streamKey = /^t:\{[0-9a-f]{16}\}:[0-9a-f-]{36}:s$/;

describe('secrets, prompts and answers', function () {
  this.timeout(180_000);
  const canaries = createCanaries();
  const processes: TestProcess[] = [];
  const workers = new Map<TransportKind, WorkerProcess>();
  /** What callers were told. */
  const texts: string[] = [];
  /** Of processes that have since been killed. */
  const scraped: string[] = [];
  let t: System;
  let token: string;
  let hosted: TestProcess | undefined;

  before(async () => {
    const env = {
      LOG_LEVEL: 'trace',
      MCPCTL_HEALTH_PORT: '0',
      MCPCTL_EVENT_KEEP_MS: String(EVENTS_KEPT_MS),
    };
    t = await startSystem(env);
    t.backend.reply(canaries.script);
    canaries.secrets['address'] = new URL(t.backend.url).host;
    canaries.secrets['admin token'] = t.token;
    token = canaries.secrets['token'] = await t.tokenFor('ada');
    const starting = transports.map(async (transport) => {
      const apiKey = canaries.secret(`key-${transport}`);
      const offers = ['well', ...ill].map((phase) => ({
        name: `${phase}-${transport}`,
        backend: t.backend,
        apiKey,
        maxConcurrency: 8,
      }));
      const critic = {
        ...{ name: `critic-${transport}`, llm: `well-${transport}` },
        systemPrompt: canaries.persona(`critic-${transport}`),
        prompts: [{ name: 'tone', content: canaries.persona(`tone-${transport}`) }],
      };
      const worker = await t.startWorker(offers, { transport, more: { agents: [critic] } });
      workers.set(transport, worker);
      processes.push(worker);
    });
    await createPublic(t, { name: 'well-hosted', url: t.backend.url, apiKeyRef: { env: 'HOSTED_KEY' } });
    hosted = startHosted(t, { HOSTED_KEY: canaries.secret('key-hosted'), ...env });
    processes.push(t.edge, t.scheduler, hosted);
    await Promise.all([...starting, hosted.event('service.ready')]);
    await until(
      () => t.llm('well-hosted'),
      (llm) => llm.servedBy === 1,
      20_000,
    );
  });
  after(async () => {
    await hosted?.kill('SIGKILL');
    await t.close();
  });

  interface Asked {
    stream?: boolean;
    headers?: Record<string, string>;
    phase?: Phase;
  }
  const ask = (
    llm: string,
    { stream = false, headers = {}, phase = 'well' }: Asked = {},
  ): Promise<Response> => {
    const body = { stream, messages: [{ role: 'user', content: canaries.prompt(phase) }] };
    return t.call('POST', `/api/v1/llms/${llm}/infer`, { body, token, headers });
  };
  const tell = async (answer: Promise<Response>): Promise<number> => {
    const { status, ...rest } = await answer.then(async (a) => ({ status: a.status, text: await a.text() }));
    texts.push(rest.text);
    return status;
  };
  /** A streamed call whose first event has come. */
  const paced = async (transport: TransportKind): Promise<{ prompt: string; rest: Promise<string> }> => {
    const answer = ask(`well-${transport}`, { phase: 'paced', stream: true });
    const prompt = canaries.prompts.at(-1) ?? '?';
    const pieces = (await answer).body?.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    let text = '';
    const read = async (enough: () => boolean): Promise<string> => {
      for (let end = false; !end && !enough();) {
        const { done, value } = (await pieces?.next()) ?? { done: true, value: undefined };
        text += value ?? '';
        end = done === true;
      }
      return text;
    };
    await read(() => text.includes('canary-answer'));
    expect(text.slice(-500)).to.include('canary-answer');
    return { prompt, rest: read(() => false) };
  };
  /** What a process without a door of its own tells at its health port. */
  const atHealthPort = async ({ lines }: TestProcess): Promise<string> => {
    const port = lines.find(({ msg }) => msg === 'the health port listens')?.['port'];
    const get = (path: string) => fetch(`http://127.0.0.1:${String(port)}${path}`);
    for (const path of ['/livez', '/readyz']) expect((await get(path)).status, path).to.equal(200);
    expect((await get('/')).status).to.equal(404);
    return await (await get('/metrics')).text();
  };
  /** All that the board has to say, in its own JSON. */
  const boardNow = async (): Promise<string> => {
    const cookie = await cookieFor(t.url, t.token);
    const get = async (path: string): Promise<string> => {
      const answer = await t.call('GET', `/admin/queues/api/${path}`, { token: null, headers: { cookie } });
      return await answer.text();
    };
    const pages = [await get('queues'), await get('redis/stats')];
    const { queues } = JSON.parse(pages[0] ?? '') as { queues: { name: string }[] };
    for (const { name } of queues) {
      const page = await get(`queues?activeQueue=${name}&page=1&jobsPerPage=50`);
      const shown = JSON.parse(page) as { queues: { name: string; jobs: { id: string }[] }[] };
      const jobs = shown.queues.find((queue) => queue.name === name)?.jobs ?? [];
      pages.push(page, ...(await Promise.all(jobs.map(({ id }) => get(`queues/${name}/${id}`)))));
    }
    return pages.join('\n');
  };
  const lineOf = (event: string, taskId: unknown) =>
    processes
      .flatMap(({ lines }) => lines)
      .filter((line) => line.event === event && line['taskId'] === taskId);
  const sessionOf = async (llm: string): Promise<unknown> =>
    (await t.sandbox.connection.db('llms').where({ name: llm }).first('providerSessionId')) as unknown;

  for (const transport of transports) {
    it(`are asked and answered over ${transport}, whole and streamed, and each has its one line`, async () => {
      for (const stream of [false, true]) {
        const answer = await ask(`well-${transport}`, { stream });
        const { status, headers } = answer;
        const text = await answer.text();
        texts.push(text);
        expect([status, foundIn(text, canaries.answers)], text).to.deep.equal([
          200,
          canaries.answers.slice(-1),
        ]);
        const id = headers.get('x-mcpctl-task-id');
        const [line, ...more] = await until(
          () => Promise.resolve(lineOf('inference.finished', id)),
          (lines) => lines.length > 0,
        );
        expect(more).to.deep.equal([]);
        expect(line).to.include({
          level: 30,
          msg: 'inference.finished',
          reqId: headers.get('x-request-id'),
          taskId: id,
          llm: `well-${transport}`,
          member: `well-${transport}`,
          kind: 'virtual',
          actor: 'ada',
          status: 200,
          code: null,
        });
        expect({ providerSessionId: line?.['worker'] }).to.deep.equal(await sessionOf(`well-${transport}`));
        expect(line?.['keyId']).to.match(/^[0-9a-f-]{36}$/);
        for (const field of ['time', 'durMs', 'queueMs', ...(stream ? ['ttftMs'] : [])])
          expect(line?.[field], field).to.be.a('number');
        expect([line?.['tokensIn'], line?.['tokensOut']]).to.deep.equal([3, 2]);
      }
    });

    it(`go wrong over ${transport} in every way that a backend has`, async () => {
      for (const phase of ill) {
        const headers = { 'idempotency-key': canaries.secret(`idempotency-${phase}`) };
        const stream = phase === 'crashed';
        const status = await tell(ask(`${phase}-${transport}`, { phase, stream, headers }));
        // Whether something of it was shown before the crash is a race: then it is a frame.
        expect(status, phase).to.be.oneOf(stream ? [200, 502] : [502]);
      }
      expect(await tell(ask(`well-${transport}`, { phase: 'refused' }))).to.equal(400);
      const leaving = new AbortController();
      const open = t.call('POST', `/v1/chat/completions`, {
        body: {
          model: `well-${transport}`,
          messages: [{ role: 'user', content: canaries.prompt('hangs') }],
        },
        signal: leaving.signal,
      });
      await until(
        () => Promise.resolve(t.backend.requests),
        (all) => all.some(({ body }) => body.includes(canaries.prompts.at(-1) ?? '?')),
      );
      leaving.abort();
      await open.catch(() => undefined);
      await t.edge.event('inference.finished', (line) => line['status'] === 499);
    });
  }

  it('go over a hosted worker, and as tasks that nobody waits for, each with its one line', async () => {
    expect(await tell(ask('well-hosted'))).to.equal(200);
    expect(await tell(ask('well-hosted', { phase: 'refused' }))).to.equal(400);
    const body = {
      llm: 'well-sse',
      request: { messages: [{ role: 'user', content: canaries.prompt('well') }] },
    };
    const made = (await (await t.call('POST', '/api/v1/tasks', { body, token })).json()) as { id: string };
    const [line, ...more] = await until(
      () => Promise.resolve(lineOf('task.settled', made.id)),
      (lines) => lines.length > 0,
      20_000,
    );
    expect(more).to.deep.equal([]);
    expect(line).to.include({
      level: 30,
      source: 'async',
      llm: 'well-sse',
      member: 'well-sse',
      tokensIn: 3,
      tokensOut: 2,
    });
    expect([line?.['keyId'], line?.['worker']].map(String)).to.satisfy((ids: string[]) =>
      ids.every((id) => /^[0-9a-f-]{36}$/.test(id)),
    );
  });

  it('are those of agents, too: their owners’ texts are told to nobody else, and their calls are counted as others are', async () => {
    const write = async (path: string, body: object, status = 201): Promise<{ id?: string }> => {
      const answer = await t.call(path.startsWith('agents/') ? 'PATCH' : 'POST', `/api/v1/${path}`, { body });
      const text = await answer.text();
      expect(answer.status, text).to.equal(status);
      return JSON.parse(text) as { id?: string };
    };
    const persona = (what: string): string => canaries.persona(what);
    const masked = { name: 'masked', llm: 'well-sse', project: 'house' };
    await write('projects', { name: 'house' });
    const { id = '' } = await write('agents', { ...masked, systemPrompt: persona('system') });
    await write('prompts', { name: 'own', agent: 'masked', content: persona('own') });
    await write('prompts', { name: 'of-house', project: 'house', content: persona('house') });
    await write('prompts', { name: 'mood', content: persona('mood') });
    await write('personalities', { name: 'grumpy', agent: 'masked', prompts: [{ prompt: 'mood' }] });
    await write('agents', { ...masked, systemPrompt: persona('again') }, 409);
    await write('agents/masked', { systemPrompt: persona('beside'), unknown: persona('unknown') }, 400);
    await write('prompts', { name: 'wrong', agent: 'masked', content: { text: persona('wrong') } }, 400);
    const document = { resource: 'agent', ...masked, systemPrompt: { text: persona('document') } };
    await write('apply', { documents: [document] }, 400);

    const turn = (agent: string, phase: Phase, more: object = {}): Promise<Response> =>
      t.call('POST', `/api/v1/agents/${agent}/chat`, {
        ...{ token, body: { message: canaries.prompt(phase), ...more } },
      });
    const grumpy = { personality: 'grumpy', systemAppend: canaries.prompt('well') };
    for (const stream of [false, true]) {
      const answer = turn('masked', 'well', { ...grumpy, stream });
      expect(await tell(answer)).to.equal(200);
      const [line, ...more] = await until(
        async () => lineOf('inference.finished', (await answer).headers.get('x-mcpctl-task-id')),
        (lines) => lines.length > 0,
      );
      expect(more).to.deep.equal([]);
      expect(line).to.include({ llm: 'masked:grumpy', member: 'well-sse', tokensIn: 3, tokensOut: 2 });
    }
    for (const transport of transports) {
      expect(await tell(turn(`critic-${transport}`, 'well'))).to.equal(200);
      // What a backend quotes is the caller's to read, as it might have said it in an answer.
      const refused = await turn(`critic-${transport}`, 'refused', { stream: true });
      expect(refused.status, await refused.text()).to.equal(400);
    }
    const sent = t.backend.requests.map(({ body }) => body).join();
    expect(foundIn(sent, canaries.personas)).to.have.length(8);

    const answered = async (path: string): Promise<{ items: Record<string, unknown>[] }> => {
      const answer = await t.call('GET', `/api/v1/${path}`, { token });
      const text = await answer.text();
      texts.push(text);
      return JSON.parse(text) as { items: Record<string, unknown>[] };
    };
    const listed = (await answered(`tasks?agent=${id}`)).items;
    expect(listed.map(({ llmName, poolName, status }) => [llmName, poolName, status])).to.deep.equal(
      Array.from({ length: 2 }, () => ['masked:grumpy', 'well-sse', 'completed']),
    );
    const used = (await answered('usage?by=llm')).items.find(({ name }) => name === 'masked:grumpy');
    expect(used).to.include({ tasks: 2, completed: 2, failed: 0, tokensIn: 6, tokensOut: 4 });
    const metrics = (await (await t.call('GET', '/metrics')).text()).split('\n');
    expect(metrics).to.include.members([
      'mcpctl_inference_requests_total{llm="masked:grumpy",kind="virtual",outcome="ok"} 2',
      'mcpctl_inference_tokens_total{llm="masked:grumpy",type="input"} 6',
      'mcpctl_inference_tokens_total{llm="masked:grumpy",type="output"} 4',
    ]);
    expect(foundIn(texts.join(), canaries.personas)).to.deep.equal([]);
  });

  it('come in calls that are refused at the door', async () => {
    const wrong = canaries.secret('wrong-token');
    const url = (path: string): string => `${path}?token=${canaries.secret('query')}`;
    const raw = { 'content-type': 'application/json' };
    const prompt = (): string => canaries.prompt('well');
    const path = '/api/v1/llms/well-redis/infer';
    const statuses = await Promise.all([
      tell(t.call('GET', url('/api/v1/llms'), { token: wrong })),
      tell(t.call('GET', '/api/v1/llms', { token: null, headers: { 'x-api-key': wrong } })),
      tell(
        t.call('POST', url('/v1/chat/completions'), {
          token,
          headers: raw,
          body: `{"messages": ${prompt()}`,
        }),
      ),
      tell(t.call('POST', path, { token, body: { messages: { [prompt()]: 1 } } })),
      tell(t.call('POST', path, { token, body: prompt(), headers: { 'content-type': 'text/plain' } })),
      tell(
        t.call('POST', '/api/v1/tasks', { token, body: { llm: 'well-redis', [prompt()]: 1, request: {} } }),
      ),
      tell(
        t.call('GET', '/admin/queues', {
          token: null,
          headers: { cookie: `mcpctl_admin=${canaries.secret('cookie')}` },
        }),
      ),
    ]);
    expect(statuses).to.deep.equal([401, 401, 400, 400, 415, 400, 401]);
  });

  it('pass by processes that tell at ports of their own how they fare', async () => {
    for (const each of [t.scheduler, ...processes.filter((one) => one !== t.scheduler && one !== t.edge)])
      scraped.push(await atHealthPort(each));
    expect(scraped[0]).to.match(/^mcpctl_scheduler_leading 1$/m);
    for (const text of scraped)
      expect(text)
        .to.match(/^mcpctl_build_info\{/m)
        .and.match(/^nodejs_eventloop_lag/m);
    expect(scraped.join()).to.match(/mcpctl_worker_claims_total\{llm="well-redis",outcome="\w+"\} \d/);
  });

  it('are in Redis only where an open task has them, and are gone with it, also when its worker was killed', async () => {
    const prompts: string[] = [];
    const streams = new Map<TransportKind, Promise<string>>();
    const waiting: string[] = [];
    for (const transport of transports) {
      const { prompt, rest } = await paced(transport);
      prompts.push(prompt);
      streams.set(transport, rest);
      const request = { messages: [{ role: 'user', content: canaries.prompt('hangs') }] };
      const body = { llm: `well-${transport}`, request };
      prompts.push(canaries.prompts.at(-1) ?? '?');
      const made = await t.call('POST', '/api/v1/tasks', { body, token });
      waiting.push(((await made.json()) as { id: string }).id);
    }
    await until(
      () => Promise.resolve(t.backend.requests),
      (all) => prompts.every((prompt) => all.some(({ body }) => body.includes(prompt))),
    );
    const open = (await storedNow(t.sandbox)).redis;
    const isStream = (line: string): boolean => streamKey.test(keyOfLine(line));
    const asked = open.filter((line) => !isStream(line) && foundIn(line, canaries.prompts).length > 0);
    expect(asked.map((line) => foundIn(line, canaries.prompts)).flat()).to.have.members(prompts);
    for (const key of asked.map(keyOfLine)) expect(key).to.match(requestKey);
    const answered = open.filter((line) => foundIn(line, canaries.answers).length > 0);
    expect(answered.length).to.be.greaterThan(1);
    for (const key of answered.map(keyOfLine)) expect(key).to.match(streamKey);

    for (const worker of workers.values()) await worker.kill('SIGKILL');
    for (const text of await Promise.all(streams.values())) {
      texts.push(text);
      expect(text).to.match(/worker_lost/);
    }
    for (const id of waiting) expect((await t.call('DELETE', `/api/v1/tasks/${id}`)).status).to.equal(200);
    await until(
      () => t.openTasks(),
      (count) => count === 0,
      30_000,
    );
    const after = (await storedNow(t.sandbox)).redis;
    expect(after.filter((line) => requestKey.test(keyOfLine(line)))).to.deep.equal([]);
    const words = [...canaries.prompts, ...canaries.personas, ...canaries.answers];
    const kept = after.filter((line) => foundIn(line, words).length > 0).map(keyOfLine);
    for (const key of kept) expect(key).to.match(streamKey);
    for (const ms of await livesOf(t.sandbox, kept)) expect(ms).to.be.within(1, EVENTS_KEPT_MS);
  });

  it('are in no log, metric, page of the board, or answer to somebody else', async () => {
    const { secrets, prompts, personas, answers } = canaries;
    const everything = [...Object.values(secrets), ...prompts, ...personas, ...answers];
    expect(answers.length).to.be.greaterThan(15);
    const logs = processes.map(({ lines }) => lines.map((line) => JSON.stringify(line)).join('\n'));
    expect(scraped).to.have.length(4);
    for (const log of logs) expect(log).to.match(/"event":"/);
    const ofEdge = await t.call('GET', '/metrics').then((answer) => answer.text());
    expect(ofEdge).to.include('mcpctl_inference_requests_total{llm="well-redis"');
    const targets = await t.call('GET', '/metrics/targets').then((answer) => answer.text());
    const board = await boardNow();
    expect(board).to.include('backend_error');
    for (const [where, text] of Object.entries({ logs, scraped, ofEdge, targets, board }))
      expect(foundIn(String(text), everything), where).to.deep.equal([]);
    // Nor is anybody called by name where series are told apart.
    for (const text of [...scraped, ofEdge, targets]) expect(text).not.to.match(/="(ada|admin)"/);
    expect(foundIn(texts.join(), Object.values(secrets))).to.deep.equal([]);
  });

  it('are, if secret, in neither store but by design: where a public llm is, and under what key a call came', async () => {
    const { postgres, redis } = await storedNow(t.sandbox);
    const secrets = Object.entries(canaries.secrets);
    const holding = (lines: readonly string[]): string[] =>
      lines.flatMap((line) =>
        secrets.flatMap(([what, word]) => (line.includes(word) ? [`${keyOfLine(line)}: ${what}`] : [])),
      );
    expect(holding(redis)).to.deep.equal([]);
    const allowed = /^((hosted_)?llms: address|idempotency: idempotency-\w+)$/;
    expect(holding(postgres).filter((place) => !allowed.test(place))).to.deep.equal([]);
    expect(holding(postgres)).to.include('llms: address');
    // The request and the answer are in the row, for as long as rows are kept.
    expect(foundIn(postgres.join(), canaries.prompts).length).to.be.greaterThan(10);
  });
});
