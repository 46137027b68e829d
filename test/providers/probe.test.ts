import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { llamaCppProps } from '../../core/member/backends.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { providerTypes } from '../../worker/providers/index.ts';
import { startBackend, type Backend } from '../support/backend.ts';
import { startKnown } from '../support/known-backends.ts';

const never = new AbortController().signal;

/** As many as llama.cpp says it has. */
const slots = (total: number): number | undefined =>
  llamaCppProps({ default_generation_settings: { n_ctx: 1 }, total_slots: total })?.slots;

describe('what a backend can do', () => {
  const backends: Backend[] = [];
  const opened = async (starting: Promise<Backend>) => {
    const backend = await starting;
    backends.push(backend);
    const provider = createOpenAiProvider({ name: 'x', url: `${backend.url}/v1` });
    const probe = (model: string) => provider.probe?.(model, never);
    const fingerprint = () => provider.modelsFingerprint?.(never);
    return { backend, provider, probe, fingerprint };
  };
  afterEach(async () => {
    for (const backend of backends.splice(0)) {
      const generated = backend.requests.filter((request) => request.method === 'POST');
      expect(generated, 'a probe that could have generated').to.deep.equal([]);
      await backend.close();
    }
  });

  it('is read from what LM Studio tells of each model, though it answers 200 to every path', async () => {
    const { probe } = await opened(startKnown.lmStudio());
    expect(await probe('qwen/qwen3-8b')).to.deep.equal({
      capabilities: {
        operations: ['chat', 'completions', 'responses', 'messages'],
        contextLength: 8192,
        tools: true,
        vision: false,
      },
      slots: 4,
    });
    expect(await probe('google/gemma-3-4b')).to.deep.equal({
      capabilities: {
        operations: ['chat', 'completions', 'responses', 'messages'],
        contextLength: 131072,
        vision: true,
        reasoning: true,
      },
    });
    expect(await probe('nomic-embed-text')).to.deep.equal({
      capabilities: { operations: ['embeddings'], contextLength: 2048 },
    });
    const older = await opened(startKnown.lmStudio({ messages: false }));
    expect((await older.probe('qwen/qwen3-8b'))?.capabilities.operations).to.deep.equal([
      'chat',
      'completions',
      'responses',
    ]);
  });

  it('is what vLLM says its model does, whatever paths it has', async () => {
    const { probe } = await opened(startKnown.vllm());
    expect(await probe('Qwen/Qwen3-8B')).to.deep.equal({
      capabilities: { operations: ['chat', 'completions', 'responses'], contextLength: 32768, prefill: true },
    });
    const embeds = await opened(startKnown.vllm({ embeds: true }));
    expect((await embeds.probe('Qwen/Qwen3-8B'))?.capabilities.operations).to.deep.equal(['embeddings']);
  });

  it('is what llama.cpp was started with, its slots too', async () => {
    const { probe } = await opened(startKnown.llamaCpp());
    expect(await probe('any name will do')).to.deep.equal({
      capabilities: {
        operations: ['chat', 'completions', 'responses', 'messages'],
        contextLength: 16384,
        prefill: true,
        tools: true,
        vision: true,
      },
      slots: 4,
    });
  });

  it('is told by the paths that anything else has', async () => {
    const { backend, probe } = await opened(startBackend());
    backend.operations = ['chat', 'embeddings', 'messages'];
    expect(await probe('test-model')).to.deep.equal({
      capabilities: { operations: ['chat', 'embeddings', 'messages'] },
    });
  });

  it('is left open where a backend treats every path alike, refuses the key, or is not there', async () => {
    for (const status of [400, 401, 403, 200, 500]) {
      const { backend, probe } = await opened(startBackend());
      backend.routes['*'] = ({ method }) => (method === 'POST' ? { status, body: {} } : undefined);
      expect(await probe('test-model'), String(status)).to.deep.equal({ capabilities: {} });
    }
    const { backend, probe } = await opened(startBackend());
    await backend.close();
    expect(await probe('test-model')).to.deep.equal({ capabilities: {} });
  });

  it('is not believed where it makes no sense', async () => {
    const { backend, probe } = await opened(startKnown.llamaCpp());
    backend.routes['/props'] = () => ({
      body: {
        default_generation_settings: { n_ctx: -1 },
        total_slots: '9e99',
        modalities: [],
        chat_template_caps: { supports_tools: 'yes' },
      },
    });
    const result = await probe('m');
    expect(slots(1_000_000)).to.equal(undefined);
    expect(slots(10_000)).to.equal(10_000);
    expect(result).to.deep.equal({
      capabilities: { operations: ['chat', 'completions', 'responses', 'messages'], prefill: true },
    });
    for (const body of ['[', 'null', '{"data":7}', 'x'.repeat(5_000_000)]) {
      backend.routes['/v1/models'] = () => ({ body });
      expect(await probe('m'), body.slice(0, 9)).to.deep.equal(result); // the last that was heard
    }
  });

  it('is asked anew only when the models change, or when the backend was away', async () => {
    const { backend, provider, probe, fingerprint } = await opened(startBackend());
    const first = await fingerprint();
    await probe('test-model');
    const asked = backend.probes.length;
    expect(await probe('test-model')).to.have.nested.property('capabilities.operations');
    expect(backend.probes, 'asked again').to.have.length(asked);
    expect(await fingerprint()).to.equal(first);
    backend.models.push('another');
    expect(await fingerprint()).not.to.equal(first);
    backend.operations = ['chat'];
    expect((await probe('test-model'))?.capabilities.operations).to.deep.equal(['chat']);
    backend.operations = ['embeddings'];
    backend.down = true;
    expect(await fingerprint()).to.equal(undefined);
    expect((await probe('test-model'))?.capabilities.operations).to.deep.equal(['chat']);
    expect(await provider.isAvailable(never)).to.equal(false);
    backend.down = false;
    expect((await probe('test-model'))?.capabilities.operations).to.deep.equal(['embeddings']);
  });

  it('is asked for three seconds at most, and never throws', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${String((silent.address() as AddressInfo).port)}`;
    const begun = performance.now();
    for (const type of Object.values(providerTypes)) {
      const provider = type.create({ name: 'x', url });
      const aborted = AbortSignal.timeout(150);
      expect(await provider.probe?.('m', aborted)).to.deep.equal({ capabilities: {} });
      expect(await provider.modelsFingerprint?.(AbortSignal.abort())).to.equal(undefined);
    }
    const provider = createOpenAiProvider({ name: 'x', url });
    expect(await provider.probe?.('m', never)).to.deep.equal({ capabilities: {} });
    expect(performance.now() - begun).to.be.lessThan(50_000); // ten times the bound
    silent.close().closeAllConnections();
  });
});
