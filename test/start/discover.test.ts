import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { nameSchema } from '../../core/names.ts';
import { suggestProviders } from '../../core/discover/suggest.ts';
import { discoverBackends, usualPorts } from '../../core/discover/discover.ts';
import { providerTypes } from '../../worker/providers/index.ts';
import { startKnown } from '../support/known-backends.ts';

type Answers = Record<string, unknown>;

/** Answers paths with JSON (or text); `otherwise` for all others, else 404. */
async function fake(answers: Answers, otherwise?: unknown): Promise<Server> {
  const server = createServer((req, res) => {
    const path = req.url ?? '';
    let body = '';
    req.on('data', (piece: Buffer) => (body += piece.toString()));
    req.on('end', () => {
      const key = body === '' ? path : `${path} ${(JSON.parse(body) as { model: string }).model}`;
      const answer = answers[key] ?? otherwise;
      const status = (answer as { status?: unknown } | undefined)?.status;
      res.writeHead(answer === undefined ? 404 : typeof status === 'number' ? status : 200);
      res.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? { detail: 'Not Found' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const providersOf = (...asked: Parameters<typeof suggestProviders>) =>
  suggestProviders(...asked).map(({ provider }) => provider);

const list = (...models: object[]) => ({ object: 'list', data: models });

/** LM Studio answers 200 to anything, also to what Ollama is known by. */
const lmStudio = () =>
  fake(
    {
      '/api/v1/models': {
        models: [
          { key: 'qwen/qwen3-8b', type: 'llm', max_context_length: 40960, loaded_instances: [] },
          {
            key: 'openai/gpt-oss-20b',
            type: 'llm',
            max_context_length: 131072,
            loaded_instances: [{ id: 'x', config: { context_length: 8192 } }],
          },
          { key: 'nomic-embed-text', type: 'embedding', loaded_instances: [] },
        ],
      },
      '/v1/models': list({ id: 'qwen/qwen3-8b' }, { id: 'openai/gpt-oss-20b' }, { id: 'nomic-embed-text' }),
      '/health': { status: 'ok' },
    },
    { error: 'Unexpected endpoint or method.' },
  );
const olderLmStudio = () =>
  fake(
    { '/api/v0/models': list({ id: 'a', type: 'llm', state: 'loaded', max_context_length: 4096 }) },
    { error: 'Unexpected endpoint or method.' },
  );
const ollama = () =>
  fake({
    '/': 'Ollama is running',
    '/api/version': { version: '0.12.3' },
    '/api/tags': {
      models: [{ name: 'qwen3:30b' }, { name: 'nomic-embed-text:latest' }, { name: 'llama3.2:latest' }],
    },
    '/api/show qwen3:30b': {
      capabilities: ['completion', 'tools'],
      model_info: { 'qwen3.context_length': 262144 },
    },
    '/api/show nomic-embed-text:latest': { capabilities: ['embedding'] },
    '/v1/models': list({ id: 'qwen3:30b', owned_by: 'library' }),
  });
const vllm = () =>
  fake({
    '/version': { version: '0.11.0' },
    '/health': '',
    '/v1/models': list({ id: 'Qwen/Qwen3-8B', owned_by: 'vllm', max_model_len: 32768 }),
  });
const llamaCpp = () =>
  fake({
    '/health': { status: 'ok' },
    '/props': { default_generation_settings: { n_ctx: 16384 }, total_slots: 4 },
    '/v1/models': list({ id: '/models/Qwen3-8B-Q4_K_M.gguf', owned_by: 'llamacpp', meta: {} }),
  });

describe('the search for backends', () => {
  const servers: Server[] = [];
  const find = async (...starting: Promise<Server>[]) => {
    const started = await Promise.all(starting);
    servers.push(...started);
    const ports = started.map((server) => (server.address() as AddressInfo).port);
    const discovered = await discoverBackends({ ports });
    return discovered.map(({ url, ...rest }) => ({ ...rest, at: ports.indexOf(Number(new URL(url).port)) }));
  };
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  it('tells LM Studio, Ollama, vLLM and llama.cpp apart', async () => {
    expect(await find(lmStudio(), ollama(), vllm(), llamaCpp(), olderLmStudio())).to.deep.equal([
      {
        type: 'lmstudio',
        at: 0,
        models: [
          { id: 'qwen/qwen3-8b', contextLength: 40960, chat: true, loaded: false },
          { id: 'openai/gpt-oss-20b', contextLength: 8192, chat: true, loaded: true },
          { id: 'nomic-embed-text', chat: false, loaded: false },
        ],
      },
      {
        type: 'ollama',
        at: 1,
        models: [
          { id: 'qwen3:30b', contextLength: 262144, chat: true, tools: true },
          { id: 'nomic-embed-text:latest', chat: false },
          { id: 'llama3.2:latest', chat: true },
        ],
      },
      { type: 'vllm', at: 2, models: [{ id: 'Qwen/Qwen3-8B', contextLength: 32768, chat: true }] },
      {
        type: 'llamacpp',
        at: 3,
        models: [{ id: '/models/Qwen3-8B-Q4_K_M.gguf', contextLength: 16384, chat: true }],
      },
      { type: 'lmstudio', at: 4, models: [{ id: 'a', contextLength: 4096, chat: true, loaded: true }] },
    ]);
  });

  it('tells the same apart that answer in full, two llama.cpp among them, and what it suggests can be opened', async () => {
    const starting = [
      startKnown.lmStudio(),
      startKnown.ollama(),
      startKnown.vllm(),
      startKnown.llamaCpp(),
      startKnown.llamaCpp({ slots: 1, context: 2048 }),
    ];
    const backends = await Promise.all(starting);
    const discovered = await discoverBackends({
      ports: backends.map(({ url }) => Number(new URL(url).port)),
    });
    const types = ['lmstudio', 'ollama', 'vllm', 'llamacpp', 'llamacpp'] as const;
    expect(discovered.map(({ type, url }) => [type, url])).to.deep.equal(
      types.map((type, n) => [type, backends[n]?.url]),
    );
    expect(discovered.at(-1)?.models[0]).to.include({ contextLength: 2048 });
    for (const { type, url, model } of providersOf(discovered, 'h')) {
      const provider = providerTypes[type].create({ name: 'x', url });
      const signal = new AbortController().signal;
      expect(await provider.isAvailable(signal), type).to.equal(true);
      const learnt = await provider.probe?.(model, signal);
      expect(learnt?.capabilities.operations, `${type} ${model}`).to.include('chat');
    }
    await Promise.all(backends.map((backend) => backend.close()));
  });

  it('looks where backends usually are: llama.cpp on 8080 and on 9931', () => {
    const ports = Object.values(providerTypes).map(({ url }) => Number(new URL(url).port));
    expect(usualPorts).to.include.members([9931, ...ports.filter((port) => port > 0 && port !== 11434)]);
    expect(usualPorts).to.include(11434);
  });

  it('takes anything else with a list of models for OpenAI-compatible', async () => {
    const plain = fake({ '/v1/models': list({ id: 'mlx/x', context_length: 2048 }) });
    const docker = fake({ '/engines/v1/models': list({ id: 'ai/smollm2' }) });
    const discovered = await find(plain, docker);
    expect(discovered).to.deep.include({
      type: 'openai',
      at: 0,
      models: [{ id: 'mlx/x', contextLength: 2048, chat: true }],
    });
    expect(discovered[1]).to.deep.include({ type: 'openai', at: 1 });
  });

  it('knows a llama.cpp that still loads', async () => {
    const loading = {
      status: 503,
      error: { code: 503, message: 'Loading model', type: 'unavailable_error' },
    };
    expect(await find(fake({ '/health': loading }))).to.deep.equal([{ type: 'llamacpp', at: 0, models: [] }]);
  });

  it('finds nothing in web pages, other JSON, silence or closed ports', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const start = performance.now();
    const odd = [
      fake({}, '<html>'),
      fake({}, { data: 'x', models: 1, version: 1 }),
      fake({}, 'null'),
      fake({}, '[['),
    ];
    expect(await find(...odd, Promise.resolve(silent))).to.deep.equal([]);
    expect(performance.now() - start).to.be.lessThan(15_000); // ten times the bound
    expect(await discoverBackends({ ports: [1] })).to.deep.equal([]);
  });

  it('follows OLLAMA_HOST to another port, but never to another machine', async () => {
    const server = await ollama();
    servers.push(server);
    const { port } = server.address() as AddressInfo;
    for (const host of [`127.0.0.1:${port}`, `http://localhost:${port}/`, `0.0.0.0:${port}`, `:${port}`]) {
      const discovered = await discoverBackends({ ollamaHost: host, ports: [] });
      expect(
        discovered.map((backend) => backend.url),
        host,
      ).to.deep.equal([`http://127.0.0.1:${port}`]);
    }
    for (const host of [`10.0.0.1:${port}`, `gpu.example:${port}`, '%%', ' ']) {
      expect(await discoverBackends({ ollamaHost: host, ports: [] }), host).to.deep.equal([]);
    }
  });
});

describe('the suggested providers', () => {
  const backendWith = (...ids: string[]) => [
    { type: 'lmstudio' as const, url: 'http://127.0.0.1:1', models: ids.map((id) => ({ id, chat: true })) },
  ];

  it('are named for the model and the host, in the pool of the model', () => {
    expect(providersOf(backendWith('Qwen/Qwen3-8B'), 'Anna-MacBook.local')).to.deep.equal([
      {
        name: 'qwen3-8b-anna-macbook',
        type: 'lmstudio',
        url: 'http://127.0.0.1:1',
        model: 'Qwen/Qwen3-8B',
        poolName: 'qwen3-8b',
        publish: true,
      },
    ]);
    const pools = providersOf(backendWith('/models/x.Q4.gguf', 'llama3.2:latest', 'qwen3:30b'), 'h');
    expect(pools.map((provider) => provider.poolName)).to.deep.equal(['x.q4', 'llama3.2', 'qwen3-30b']);
  });

  it('leave out what cannot chat, and put what is in memory first', () => {
    const models = [
      { id: 'cold', chat: true, loaded: false },
      { id: 'embed', chat: false },
      { id: 'warm', chat: true, loaded: true },
    ];
    const suggested = providersOf([{ type: 'lmstudio', url: 'http://127.0.0.1:1', models }], 'h');
    expect(suggested.map((provider) => provider.model)).to.deep.equal(['warm', 'cold']);
  });

  it('always have names that may be published, each once', () => {
    const ids = ['_x_', '界', 'a'.repeat(90), 'a'.repeat(91), '-', '//', 'x', 'X', 'y/x'];
    const suggested = providersOf(backendWith(...ids), `${'h'.repeat(80)}.example`);
    const names = suggested.map((provider) => provider.name);
    for (const { name, poolName } of suggested) {
      expect(nameSchema.safeParse(name).success, name).to.equal(true);
      expect(nameSchema.safeParse(poolName).success, poolName).to.equal(true);
    }
    expect(new Set(names).size).to.equal(ids.length);
    expect(providersOf(backendWith('x'), '???')[0]?.name).to.equal('x-host');
  });
});
