import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { providerTypes } from '../../worker/providers/index.ts';
import { survivesRealBackends } from '../conformance/backend-facts.ts';
import { callOf, conformsAsProvider, readAll } from '../conformance/provider.ts';
import { answers, hangs, sends, startBackend } from '../support/backend.ts';
import { startKnown, type Ollama } from '../support/known-backends.ts';

const never = new AbortController().signal;
const openAt = (url: string, settings: object = {}) =>
  providerTypes.ollama.create({ name: 'x', url, model: 'qwen3:30b', ...settings });

describe('the ollama provider', () => {
  let backend: Ollama;
  beforeEach(async () => {
    backend = await startKnown.ollama();
  });
  afterEach(() => backend.close());

  const lastOf = async (call: Parameters<typeof callOf>[0], settings?: object) =>
    (await readAll(openAt(backend.url, settings).forward?.(callOf(call)) ?? expect.fail())).last;

  describe('as a provider', () => {
    conformsAsProvider(async () => {
      const own = await startKnown.ollama();
      const provider = openAt(own.url);
      return { provider, model: 'qwen3:30b', question: 'Hi', close: () => own.close() };
    });
  });

  describe('with real backends', () => {
    survivesRealBackends((url) => openAt(`${url}/v1/`));
  });

  it('is available when Ollama says its version, and lists what is pulled', async () => {
    const provider = openAt(backend.url);
    expect(await provider.isAvailable(never)).to.equal(true);
    expect((await provider.listModels(never)).map((model) => model.id)).to.deep.equal([
      'qwen3:30b',
      'llava:latest',
      'nomic-embed-text:latest',
    ]);
    backend.routes['/api/version'] = () => ({ body: { hello: 'world' } });
    expect(await provider.isAvailable(never)).to.equal(false);
  });

  it('knows what each model can do, and the context that it was loaded with', async () => {
    backend.operations = ['chat', 'completions', 'embeddings', 'responses'];
    const provider = openAt(backend.url);
    expect(await provider.probe?.('qwen3:30b', never)).to.deep.equal({
      capabilities: {
        operations: ['chat', 'completions', 'responses'],
        tokenIds: false,
        contextLength: 262144,
        tools: true,
        vision: false,
        reasoning: true,
      },
    });
    expect((await provider.probe?.('llava', never))?.capabilities).to.include({
      contextLength: 2048,
      vision: true,
    });
    expect((await provider.probe?.('nomic-embed-text', never))?.capabilities.operations).to.deep.equal([
      'embeddings',
    ]);
    const before = await provider.modelsFingerprint?.(never);
    backend.loaded['qwen3:30b'] = 8192;
    const loaded = await provider.modelsFingerprint?.(never);
    expect(loaded).not.to.equal(before);
    expect((await provider.probe?.('qwen3:30b', never))?.capabilities.contextLength).to.equal(8192);
    delete backend.loaded['qwen3:30b']; // unloading alone is no news
    expect(await provider.modelsFingerprint?.(never)).to.equal(loaded);
    expect(await provider.probe?.('not-pulled', never)).to.deep.equal({ capabilities: {} });
    expect(backend.requests.filter((request) => request.method === 'POST')).to.deep.equal([]);
    expect(backend.loads).to.deep.equal([]);
  });

  it('says how to pull a model that is not there', async () => {
    backend.reply(answers(404, { error: { message: 'model "nope:7b" not found, try pulling it first' } }));
    const last = await lastOf({ model: 'nope:7b' });
    expect(last).to.deep.include({
      kind: 'failed',
      code: 'backend_misconfigured',
      status: 404,
      retryable: true,
    });
    expect(last).to.have.property('message').that.contains('ollama pull nope:7b');
    const thrown: unknown = await openAt(backend.url, { model: 'nope:7b' })
      .warmup?.(never)
      .catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(McpctlError);
    expect(String(thrown)).to.contain('ollama pull nope:7b');
    backend.reply(answers(404, { error: { message: '404 page not found' } }));
    expect(await lastOf({})).to.include({ blame: 'unable', status: 404 });
  });

  it('rests when the queue of Ollama is full', async () => {
    backend.reply(answers(503, { error: 'server busy, please try again.' }, { 'retry-after': '3' }));
    expect(await lastOf({})).to.include({
      code: 'backend_not_ready',
      message: "Ollama's queue is full.",
      retryable: true,
      retryAfterS: 3,
      status: 503,
    });
  });

  it('waits longer than for silence while a model is loaded', async () => {
    backend.once(async (exchange) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return sends('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')(exchange);
    });
    expect(await lastOf({ model: 'qwen3:30b', stallMs: 60 })).to.have.property('kind', 'end');
    backend.loaded['qwen3:30b'] = 4096;
    backend.once(hangs());
    expect(await lastOf({ model: 'qwen3:30b', stallMs: 60 })).to.include({ code: 'backend_timeout' });
  });

  it('loads its model without having it generate, and an embedding model in its own way', async () => {
    await openAt(backend.url).warmup?.(never);
    expect(backend.loads).to.deep.equal([{ model: 'qwen3:30b', stream: false }]);
    await openAt(backend.url, { model: 'nomic-embed-text' }).warmup?.(never);
    expect(backend.loads[1]).to.deep.equal({ model: 'nomic-embed-text', input: [] });
    expect(Object.keys(backend.loaded)).to.deep.equal(['qwen3:30b', 'nomic-embed-text:latest']);
  });

  it('keeps a model in memory for as long as its owner said', async () => {
    const params = { drop: [], add: { keep_alive: '1h' }, rename: {} };
    await openAt(backend.url, { params }).warmup?.(never);
    expect(backend.loads.at(-1)).to.include({ keep_alive: '1h' });
    expect(await lastOf({ model: 'qwen3:30b' }, { params })).to.have.property('kind', 'end');
    for (let tries = 0; backend.loads.length < 2 && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(backend.loads[1], 'said again after the answer').to.include({
      model: 'qwen3:30b',
      keep_alive: '1h',
    });
    expect(await lastOf({ model: 'qwen3:30b' })).to.have.property('kind', 'end');
    await openAt(backend.url).isAvailable(never);
    expect(backend.loads, 'nothing is said where nothing was configured').to.have.length(2);
  });

  it('takes one task at a time unless its owner says more', () => {
    expect(providerTypes.ollama.maxConcurrency).to.equal(1);
  });

  it('lists nothing where there is no Ollama', async () => {
    const other = await startBackend();
    const thrown: unknown = await openAt(other.url)
      .listModels(never)
      .catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(McpctlError);
    await other.close();
  });
});
