import { expect } from 'chai';
import { endpointsAt } from '../../worker/providers/http/url.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { survivesRealBackends } from '../conformance/backend-facts.ts';
import { callOf, conformsAsProvider, readAll } from '../conformance/provider.ts';
import { answers, startBackend } from '../support/backend.ts';
import { startTlsFront } from '../support/tls-front.ts';

describe('the openai provider', () => {
  describe('as a provider', () => {
    conformsAsProvider(async () => {
      const backend = await startBackend();
      const provider = createOpenAiProvider({ name: 'scripted', url: backend.url, model: 'test-model' });
      return { provider, model: 'test-model', question: 'Hi', close: () => backend.close() };
    });
  });

  describe('with real backends', () => {
    survivesRealBackends((url) => createOpenAiProvider({ name: 'scripted', url: `${url}/v1/` }));
  });

  it('takes base URLs as people write them', () => {
    const written: Record<string, string> = {
      'http://h:1': 'http://h:1/v1/chat/completions',
      'http://h:1/v1/': 'http://h:1/v1/chat/completions',
      'http://h:1/v1/chat/completions': 'http://h:1/v1/chat/completions',
      'https://h/api': 'https://h/api/v1/chat/completions',
      'https://h/openai/v1': 'https://h/openai/v1/chat/completions',
      'https://h/v1beta/openai/': 'https://h/v1beta/openai/chat/completions',
      'https://h/v1?api-version=2': 'https://h/v1/chat/completions?api-version=2',
    };
    for (const [url, endpoint] of Object.entries(written)) {
      expect(endpointsAt(url).of('chat').href).to.equal(endpoint);
    }
  });

  it('reads its key anew for each request, and shows it to the backend alone', async () => {
    const backend = await startBackend();
    let key = 'first';
    const provider = createOpenAiProvider({ name: 'x', url: backend.url, readKey: async () => key });
    await readAll(provider.forward?.(callOf({})) ?? expect.fail());
    key = 'second';
    await provider.warmup?.(new AbortController().signal); // no model: nothing to do
    await readAll(provider.forward?.(callOf({})) ?? expect.fail());
    expect(backend.requests.map((request) => request.headers.authorization)).to.deep.equal([
      'Bearer first',
      'Bearer second',
    ]);
    await backend.close();
  });

  it('lets no refusal carry its key or its address to the caller', async () => {
    const backend = await startBackend();
    const url = `${backend.url}/v1?api-version=2&code=a-secret-in-the-address`;
    const key = 'sk-quoted';
    const provider = createOpenAiProvider({ name: 'x', url, readKey: () => Promise.resolve(key) });
    backend.once(answers(400, `${key} is bad, ask ${url} (${new URL(url).host}) for version 2`));
    const { last } = await readAll(provider.forward?.(callOf({})) ?? expect.fail());
    expect(last).to.include({
      status: 400,
      body: '[key] is bad, ask [address]/v1?api-version=2&code=[key] ([address]) for version 2',
    });
    await backend.close();
  });

  it("changes a caller's parameters as its owner said, and always sends its own model", async () => {
    const backend = await startBackend();
    const params = {
      drop: ['user', 'model'],
      add: { top_k: 20 },
      rename: { max_completion_tokens: 'max_tokens' },
    };
    const provider = createOpenAiProvider({ name: 'x', url: backend.url, params });
    const body = '{"user":"u","messages":[],"max_completion_tokens":5,"top_k":1.0,"model":"m"}';
    await readAll(provider.forward?.(callOf({ body, streaming: false })) ?? expect.fail());
    expect((await backend.next('request')).body).to.equal(
      '{"messages":[],"max_tokens":5,"top_k":20,"model":"test-model"}',
    );
    await backend.close();
  });

  it('renames the roles that its owner said, and leaves every other letter of the messages', async () => {
    const backend = await startBackend();
    const rename = { 'role:developer': 'system', max_completion_tokens: 'max_tokens' };
    const provider = createOpenAiProvider({
      name: 'x',
      url: backend.url,
      params: { drop: [], add: {}, rename },
    });
    const sent = async (body: string) => {
      await readAll(provider.forward?.(callOf({ body, streaming: false })) ?? expect.fail());
      return (await backend.next('request')).body;
    };
    const body =
      '{"model":"test-model","messages":[ {"content":"role: \\"developer\\"","role":"developer","n":1.0},' +
      '{"role":"user","x":{"role":"developer"}},{"name":"role"},"developer" ]}';
    expect(await sent(body)).to.equal(body.replace('"role":"developer","n"', '"role":"system","n"'));
    for (const odd of ['{"model":"test-model","messages":7}', '{"model":"test-model"}'])
      expect(await sent(odd)).to.equal(odd);
    await backend.close();
  });

  it('calls a backend over TLS, once it trusts its certificate, and says so where it does not', async () => {
    const backend = await startBackend();
    const front = await startTlsFront('localhost', backend);
    const url = `https://localhost:${front.port}`;
    const ask = async (dialling?: { ca: string }) => {
      const provider = createOpenAiProvider({ name: 'x', url, dialling });
      expect(await provider.isAvailable(new AbortController().signal)).to.equal(dialling !== undefined);
      return readAll(provider.forward?.(callOf({})) ?? expect.fail());
    };
    const { events, last } = await ask({ ca: front.certificate });
    expect(last).to.include({ kind: 'end', finishReason: 'stop' });
    expect(events.join('')).to.contain('Hello');
    const refused = (await ask()).last;
    expect(refused).to.include({ kind: 'failed', code: 'backend_error', retryable: true });
    expect(refused).to.have.property('message').that.contains('certificate is not trusted');
    const other = createOpenAiProvider({
      name: 'x',
      url: `https://127.0.0.1:${front.port}`,
      dialling: { ca: front.certificate },
    });
    const misnamed = (await readAll(other.forward?.(callOf({})) ?? expect.fail())).last;
    expect(misnamed).to.have.property('message').that.contains('for another name');
    await front.close();
    await backend.close();
  });

  it('asks whom it is told to ask: the lookup of a name is its owner’s to decide', async () => {
    const backend = await startBackend();
    const asked: string[] = [];
    const provider = createOpenAiProvider({
      name: 'x',
      url: backend.url.replace('127.0.0.1', 'backend.example'),
      dialling: {
        lookup(hostname, _options, answer) {
          asked.push(hostname);
          answer(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), '', 4);
        },
      },
    });
    const { last } = await readAll(provider.forward?.(callOf({})) ?? expect.fail());
    expect(last).to.include({ code: 'backend_error', message: "The backend's host name is not known." });
    expect(asked).to.deep.equal(['backend.example']);
    expect(backend.connections()).to.equal(0);
    await backend.close();
  });

  it('warms its model up with one short completion', async () => {
    const backend = await startBackend();
    const provider = createOpenAiProvider({ name: 'x', url: backend.url, model: 'big' });
    await provider.warmup?.(new AbortController().signal);
    expect(backend.warmUps[0]?.json).to.include({ model: 'big', max_tokens: 1, stream: false });
    await backend.close();
  });
});
