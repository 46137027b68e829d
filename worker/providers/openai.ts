import { chatOver } from './http/chat.ts';
import { createExchange } from './http/wire/exchange.ts';
import { asWritten } from './http/wire/guessed.ts';
import { forward, type ForwardDeps } from './http/forward.ts';
import { keyHeaderAt } from './http/request.ts';
import type { BackendSettings } from './http/settings.ts';
import { endpointsAt, type Written } from './http/url.ts';
import { createModelList } from './openai/models.ts';
import { createProbe } from './openai/probe.ts';
import type { LlmProvider } from './provider.ts';
import { McpctlError } from '../../core/errors.ts';
export interface OpenAiSettings extends BackendSettings {
  /** How a backend differs from OpenAI's protocol. */
  ways?: Pick<ForwardDeps, 'refused' | 'patienceMs'>;
  /** As addresses of which protocol its address is written. Default: OpenAI's. */
  written?: Written;
}

type OverHttp = LlmProvider & Required<Pick<LlmProvider, 'forward' | 'complete' | 'stream'>>;

/** Any backend that speaks OpenAI's protocol. What it keeps open between requests closes by itself. */
export function createOpenAiProvider(settings: OpenAiSettings): OverHttp {
  const endpoints = endpointsAt(settings.url, settings.written);
  const exchange = asWritten(createExchange(settings.dialling), endpoints);
  const readKey = settings.readKey ?? (() => Promise.resolve(undefined));
  const keyHeaders = keyHeaderAt(endpoints.models);
  const deps = { exchange, endpoints, readKey, keyHeaders, params: settings.params, ...settings.ways };
  const asking = { exchange, headers: async () => keyHeaders(await readKey()) };
  const list = createModelList({ asking, endpoints });
  const kept = createProbe({ asking, endpoints });
  const provider: OverHttp = {
    name: settings.name,
    forward: (call) => forward(deps, call),
    ...chatOver((call) => forward(deps, call), settings.stallMs),
    listModels: (signal) => list.models(signal),
    async isAvailable(signal) {
      const answers = await list.answers(signal);
      if (!answers) kept.forget(); // it may come back as another
      return answers;
    },
    probe: (model, signal) => kept.probe(model, signal),
    modelsFingerprint: (signal) => kept.fingerprint(signal),
    async warmup(signal) {
      const { model } = settings;
      // Somebody's service has loaded its models, and every token of it costs.
      const isService = endpoints.models.protocol === 'https:' && (await readKey()) !== undefined;
      if (model !== undefined && !isService) await warmUp(provider, model, signal);
    },
  };
  return provider;
}

const loadMs = 330_000;

/** Loads a model by the shortest request that it can answer: one token, or one vector. */
async function warmUp(provider: LlmProvider, model: string, signal: AbortSignal): Promise<void> {
  const { operations } = (await provider.probe?.(model, signal))?.capabilities ?? {};
  if (!provider.forward || operations?.includes('chat') !== false) {
    const messages = [{ role: 'user', content: 'Hi' }];
    await provider.complete({ model, messages, maxTokens: 1, signal });
    return;
  }
  if (!operations.includes('embeddings')) return;
  const call = { body: '{"input":"Hi"}', streaming: false, headers: {}, model, stallMs: loadMs, signal };
  for await (const reply of provider.forward({ operation: 'embeddings', ...call })) {
    if (reply.kind === 'failed') throw new McpctlError(reply.code, reply.message);
  }
}
