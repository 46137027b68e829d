import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { endpointsAt, type Written } from '../../worker/providers/http/url.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { callOf, readAll } from '../conformance/provider.ts';
import { answers, startBackend, type Backend } from '../support/backend.ts';

describe('an address of a backend', () => {
  let backend: Backend;
  beforeEach(async () => {
    backend = await startBackend();
  });
  afterEach(() => backend.close());

  it('is called as it was written out: in each way seen', () => {
    const chat = 'chat/completions';
    const seen: [written: string, called: string, as?: Written][] = [
      // maximhq/bifrost#4785 (Telnyx), Google, Zhipu, Volcengine, DashScope, Vertex, Cloudflare, Llama Stack
      ['https://h/v2/ai/openai', `https://h/v2/ai/openai/${chat}`],
      ['https://h/v1beta/openai?key=abc', `https://h/v1beta/openai/${chat}?key=abc`],
      ['https://h/api/v3/', `https://h/api/v3/${chat}`],
      ['https://h/compatible-mode/v1', `https://h/compatible-mode/v1/${chat}`],
      [
        'https://h/v1/projects/p/locations/l/endpoints/openapi',
        `https://h/v1/projects/p/locations/l/endpoints/openapi/${chat}`,
      ],
      ['https://h/v1/account/gateway/compat', `https://h/v1/account/gateway/compat/${chat}`],
      ['http://h/v1/openai/v1', `http://h/v1/openai/v1/${chat}`],
      // pasted: another operation's, one with the slash that its framework wants, with what Azure asks for
      [
        'https://h/openai/deployments/d/completions?api-version=1',
        `https://h/openai/deployments/d/${chat}?api-version=1`,
      ],
      ['https://h/serving-endpoints/embeddings', `https://h/serving-endpoints/${chat}`],
      ['https://h/custom/chat/completions/', 'https://h/custom/chat/completions/'],
      ['https://h/v1/chat/completions?x=1', 'https://h/v1/chat/completions?x=1'],
      [
        'https://h/models?api-version=2024-05-01-preview',
        `https://h/models/${chat}?api-version=2024-05-01-preview`,
      ],
      // what Ollama's documents call its address, and its own paths
      ['https://ollama.com/api', `https://ollama.com/v1/${chat}`, 'ollama'],
      ['http://h:11434/api/chat', `http://h:11434/v1/${chat}`, 'ollama'],
      ['http://h/ollama/api/', `http://h/ollama/v1/${chat}`, 'ollama'],
      ['http://h:11434', `http://h:11434/v1/${chat}`, 'ollama'],
    ];
    for (const [written, called, as] of seen)
      expect(endpointsAt(written, as).of('chat').href, written).to.equal(called);
    expect(endpointsAt('http://h:11434/api/generate', 'ollama').beside('/api/tags').href).to.equal(
      'http://h:11434/api/tags',
    );
    // Anthropic's SDKs put /v1 behind whatever they are given: its gateways are written so.
    const spoken: Record<string, string> = {
      'https://h/anthropic': 'https://h/anthropic/v1/messages',
      'https://h/v1/account/gateway/anthropic': 'https://h/v1/account/gateway/anthropic/v1/messages',
      'https://h/anthropic/v1': 'https://h/anthropic/v1/messages',
      'https://h/anthropic/v1/messages': 'https://h/anthropic/v1/messages',
      'https://h/anthropic/v1/messages/count_tokens': 'https://h/anthropic/v1/messages',
    };
    for (const [written, called] of Object.entries(spoken))
      expect(endpointsAt(written, 'anthropic').of('messages').href, written).to.equal(called);
  });

  it('is called without /v1 where that was a guess, and is not there: as Databricks and Open WebUI have it', async () => {
    const base = `${backend.url}/serving-endpoints`;
    const provider = createOpenAiProvider({ name: 'x', url: base });
    const chat = async (): Promise<unknown> =>
      (await readAll(provider.forward?.(callOf({ streaming: false })) ?? expect.fail())).last;
    const whole = JSON.stringify({ choices: [{ message: { content: 'hi' }, finish_reason: 'stop' }] });
    const paths = (): unknown[] => backend.requests.splice(0).map(({ path }) => path);
    backend.once(answers(404, '{"detail":"Not Found"}'));
    backend.once(answers(200, whole));
    expect(await chat()).to.include({ kind: 'end' });
    expect(paths()).to.deep.equal([
      '/serving-endpoints/v1/chat/completions',
      '/serving-endpoints/chat/completions',
    ]);
    backend.once(answers(200, whole));
    expect(await chat()).to.include({ kind: 'end' });
    expect(paths()).to.deep.equal(['/serving-endpoints/chat/completions']);
  });

  it('keeps the refusal of the guessed path where the other is no better', async () => {
    const others = [
      answers(404, '{"detail":"Not Found"}'),
      answers(401, '{}'),
      answers(200, '<html>', { 'content-type': 'text/html' }),
      answers(500, '{}'),
    ];
    for (const other of others) {
      const provider = createOpenAiProvider({ name: 'x', url: `${backend.url}/api` });
      backend.once(answers(404, '{"error":{"message":"The model `m` does not exist."}}'));
      backend.once(other);
      const { last } = await readAll(provider.forward?.(callOf({ streaming: false })) ?? expect.fail());
      expect(last)
        .to.include({ status: 404, code: 'backend_misconfigured' })
        .and.have.property('message')
        .that.contains('does not exist');
    }
    // Once a path is there by the guess, what it says of others is its last word.
    const provider = createOpenAiProvider({ name: 'x', url: `${backend.url}/api` });
    const whole = JSON.stringify({ choices: [{ message: { content: 'hi' }, finish_reason: 'stop' }] });
    backend.once(answers(200, whole));
    await readAll(provider.forward?.(callOf({ streaming: false })) ?? expect.fail());
    backend.requests.splice(0);
    backend.once(answers(404, '{"detail":"Not Found"}'));
    await readAll(provider.forward?.(callOf({ streaming: false })) ?? expect.fail());
    expect(backend.requests).to.have.length(1);
  });
});

describe('a long list of models over a slow line', function () {
  this.timeout(20_000);
  const list = '{"data":[{"id":"m","context_length":7}]}';
  const server = createServer((request, response) => {
    if (request.url !== '/v1/models') return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'application/json' });
    // A byte at a time, and in all longer than a backend may be silent.
    const bytes = [...list];
    const drip = setInterval(() => {
      response.write(bytes.shift() ?? '');
      if (bytes.length === 0) response.end();
    }, 90);
    response.on('close', () => clearInterval(drip));
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => void server.close());

  it('is waited for while it comes, and whether the backend is there is known from its head', async () => {
    const { port } = server.address() as AddressInfo;
    const provider = createOpenAiProvider({ name: 'x', url: `http://127.0.0.1:${String(port)}` });
    const { signal } = new AbortController();
    const since = performance.now();
    const [models, isThere] = await Promise.all([
      provider.modelsFingerprint?.(signal),
      provider.isAvailable(signal),
    ]);
    expect(models).to.be.a('string');
    expect(isThere).to.equal(true);
    expect(performance.now() - since).to.be.above(3_000);
  });
});
