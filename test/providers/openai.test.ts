import { expect } from 'chai';
import { endpointsAt } from '../../worker/providers/http/url.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { survivesRealBackends } from '../conformance/backend-facts.ts';
import { callOf, conformsAsProvider, readAll } from '../conformance/provider.ts';
import { startBackend } from '../support/backend.ts';

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

  it('warms its model up with one short completion', async () => {
    const backend = await startBackend();
    const provider = createOpenAiProvider({ name: 'x', url: backend.url, model: 'big' });
    await provider.warmup?.(new AbortController().signal);
    expect((await backend.next('request')).json).to.include({ model: 'big', max_tokens: 1, stream: false });
    await backend.close();
  });
});
