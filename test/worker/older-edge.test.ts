import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  VirtualLlmRegistrar,
  type LlmProvider,
  type RegistrarOptions,
} from '../../worker/registration/registrar.ts';
import { until } from '../support/system.ts';
import { scriptedEdge, type ScriptedEdge } from './scripted-edge.ts';

/** Echoes; `fail` makes it fail. */
const echo: LlmProvider = {
  name: 'echo',
  complete: ({ messages }) => {
    const text = String(messages.at(-1)?.['content']);
    if (text === 'fail') return Promise.reject(new TypeError('no'));
    return Promise.resolve({
      content: `You said ${text}.`,
      toolCalls: [],
      usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
      finishReason: 'stop',
    });
  },
  listModels: () => Promise.resolve([{ id: 'echo' }]),
  isAvailable: () => Promise.resolve(true),
};

/** An edge of the first protocol: it answers register with the session and nothing else, and knows no claims. */
describe('a registrar at an edge of the first protocol', function () {
  this.timeout(20_000);
  let edge: ScriptedEdge;
  let home: string;
  const open: VirtualLlmRegistrar[] = [];
  const warned: string[] = [];
  /** What register is answered; the session alone, unless a test says more. */
  let answer: () => { status: number; body?: object };
  const make = (more: Partial<RegistrarOptions> = {}): VirtualLlmRegistrar => {
    const silent = (): void => undefined;
    const registrar = new VirtualLlmRegistrar({
      mcpdUrl: edge.url,
      token: 't',
      publishedProviders: [{ provider: echo, type: 'openai', model: 'echo' }],
      sessionFilePath: join(home, 'provider-session'),
      log: { info: silent, warn: (m) => warned.push(m), error: (m) => warned.push(m) },
      ...more,
    });
    open.push(registrar);
    return registrar;
  };
  const registrations = () => edge.posts.filter(({ path }) => path === '_provider-register');
  const results = () => edge.posts.filter(({ path }) => path.endsWith('/result')).map(({ body }) => body);
  const task = async (more: object): Promise<void> => {
    const stream = await edge.stream(0);
    const messages = [{ role: 'user', content: 'hi' }];
    stream.send('task', { kind: 'infer', taskId: 't-1', llmName: 'echo', request: { messages }, ...more });
  };

  beforeEach(async () => {
    edge = await scriptedEdge();
    home = await mkdtemp(join(tmpdir(), 'mcpctl-older-'));
    warned.length = 0;
    answer = () => ({ status: 201, body: { providerSessionId: 'sess-1', llms: [] } });
    edge.onPost = ({ path }) => (path === '_provider-register' ? answer() : { status: 200 });
    edge.onStream = (opened, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      opened.send('hello', {});
    };
  });
  afterEach(async () => {
    for (const registrar of open.splice(0)) {
      registrar.stop();
      await registrar.left();
    }
    await edge.close();
    await rm(home, { recursive: true });
  });

  it('offers its agents again with its beats, says once that they are left out, and stops where they are taken', async () => {
    const warnings = ['Virtual agents are not served yet; they were left out.'];
    const taken = { providerSessionId: 'sess-1', llms: [], agents: [] as object[], warnings };
    answer = () => ({ status: 201, body: taken });
    const agent = { name: 'critic', llm: 'echo' };
    await make({ publishedAgents: [agent], heartbeatIntervalMs: 20 }).start();
    await until(
      async () => registrations().length,
      (count) => count >= 3,
    );
    expect(registrations().at(-1)?.body).to.deep.include({ agents: [agent] });
    expect(warned.filter((line) => line === warnings[0])).to.have.length(1);
    taken.agents = [{ name: 'critic' }];
    const beats = (): number => edge.posts.filter(({ path }) => path === '_provider-heartbeat').length;
    const before = await until(
      async () => [registrations().length, beats()] as const,
      ([count]) => count >= 4,
    );
    await until(
      async () => beats(),
      (count) => count >= before[1] + 4,
    );
    expect(registrations().length).to.be.at.most(before[0] + 1);
  });

  it('keeps whatever the session is called, and registers with it after a restart', async () => {
    await make().start();
    expect((await readFile(join(home, 'provider-session'), 'utf8')).trim()).to.equal('sess-1');
    const again = make();
    expect(again.getSessionId()).to.equal('sess-1');
    await again.start();
    expect(registrations().at(-1)?.body).to.include({ providerSessionId: 'sess-1' });
  });

  it('listens with it, beats with it and says goodbye with it', async () => {
    const registrar = make({ heartbeatIntervalMs: 10 });
    await registrar.start();
    expect((await edge.stream(0)).headers['x-mcpctl-provider-session']).to.equal('sess-1');
    const beat = await edge.posted(({ path }) => path === '_provider-heartbeat');
    expect(beat.body).to.include({ providerSessionId: 'sess-1' });
    registrar.stop();
    await registrar.left();
    const goodbye = await edge.posted(({ path }) => path === '_provider-goodbye');
    expect(goodbye.body).to.include({ providerSessionId: 'sess-1' });
  });

  it('registers again when a heartbeat is answered 404 without a word', async () => {
    edge.onPost = ({ path }) => (path === '_provider-heartbeat' ? { status: 404 } : answer());
    await make({ heartbeatIntervalMs: 10 }).start();
    await edge.posted(() => registrations().length >= 2);
  });

  it('answers a task that has neither claim, operation, headers nor limit, whose request is an object', async () => {
    await make().start();
    await task({ streaming: false });
    const { path, body } = await edge.posted((post) => post.path.endsWith('/result'));
    expect(path).to.equal('_provider-task/t-1/result');
    expect(body).to.include({ status: 200 });
    expect(JSON.stringify(body)).to.include('You said hi.');
    expect(edge.answers).to.deep.equal([]);
  });

  it('streams an answer in chunks, the last of which is done', async () => {
    await make().start();
    await task({ streaming: true });
    await edge.posted(({ body }) => (body['chunk'] as { done?: boolean } | undefined)?.done === true);
    expect(results().at(-1)).to.deep.equal({ chunk: { data: '[DONE]', done: true } });
    expect(JSON.stringify(results()[0])).to.include('You said hi.');
  });

  it('tells a failure, and goes on', async () => {
    await make().start();
    await task({ request: { messages: [{ role: 'user', content: 'fail' }] } });
    const { body } = await edge.posted((post) => post.path.endsWith('/result'));
    expect(body['error']).to.be.a('string');
  });

  it('says what the edge said where that is no more than a sentence', async () => {
    answer = () => ({ status: 409, body: { error: 'Cannot publish over public LLM: echo' } });
    const thrown = await make()
      .start()
      .then(
        () => null,
        (e: unknown) => e as Error,
      );
    expect(thrown?.message).to.equal('HTTP 409: Cannot publish over public LLM: echo');
  });

  it('publishes as a new session, once, where its id is refused', async () => {
    await writeFile(join(home, 'provider-session'), 'of-another-edge');
    for (const refusal of [
      { status: 404, body: { error: 'unknown provider session' } },
      { status: 400, body: { error: 'invalid body', details: [{ path: 'providerSessionId' }] } },
    ]) {
      edge.posts.length = 0;
      edge.onPost = ({ body }) => (body['providerSessionId'] === 'of-another-edge' ? refusal : answer());
      const registrar = make({ sessionFilePath: join(home, 'provider-session') });
      await registrar.start();
      expect(registrations().map(({ body }) => body['providerSessionId'])).to.deep.equal([
        'of-another-edge',
        undefined,
      ]);
      expect(registrar.getSessionId()).to.equal('sess-1');
      await writeFile(join(home, 'provider-session'), 'of-another-edge');
    }
  });

  it('takes what a newer edge adds, and rows that are told in part', async () => {
    const llms = [{ name: 'echo', more: 1 }, 'a word', { id: 7 }];
    const body = { providerSessionId: 'sess-1', llms, warnings: ['old', 7], transport: null, more: {} };
    answer = () => ({ status: 201, body });
    await make().start();
    expect(warned).to.deep.equal(['old']);
    await task({ more: 1, llmName: 'echo' });
    expect((await edge.posted((post) => post.path.endsWith('/result'))).body).to.include({ status: 200 });
  });

  it('takes the session from whichever answer says that it went well, and whatever it is', async () => {
    for (const [status, providerSessionId] of [
      [200, 'sess-2'],
      [202, 17],
    ] as const) {
      answer = () => ({ status, body: { providerSessionId } });
      const registrar = make({ sessionFilePath: join(home, `of-${String(status)}`) });
      await registrar.start();
      expect(registrar.getSessionId()).to.equal(String(providerSessionId));
    }
  });

  it('says what it was refused for, and finds what is meant by it, whatever the shape', async () => {
    await writeFile(join(home, 'provider-session'), 'of-another-edge');
    const fault = 'must be a number';
    for (const body of [
      { error: { message: `providerSessionId ${fault}` } },
      { detail: [{ loc: ['body', 'providerSessionId'], msg: fault }] },
      { message: [`providerSessionId ${fault}`], statusCode: 400 },
    ]) {
      edge.onPost = ({ body: sent }) =>
        sent['providerSessionId'] === undefined ? answer() : { status: 400, body };
      await make({ sessionFilePath: join(home, 'provider-session') }).start();
      await writeFile(join(home, 'provider-session'), 'of-another-edge');
    }
    answer = () => ({ status: 403, body: { error: { message: 'Not you.', code: 'nope' } } });
    const thrown: unknown = await make()
      .start()
      .catch((error: unknown) => error);
    expect(thrown).to.include({ message: 'HTTP 403: Not you.' });
  });

  it('says that it is no edge when the session is missing', async () => {
    answer = () => ({ status: 201, body: { llms: [] } });
    const thrown = await make()
      .start()
      .then(
        () => null,
        (e: unknown) => e as Error,
      );
    expect(thrown?.message).to.include('providerSessionId').and.include('mcpdUrl');
  });
});
