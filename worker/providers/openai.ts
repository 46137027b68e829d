import { McpctlError } from '../../core/errors.ts';
import { createExchange, type Dialling } from './http/exchange.ts';
import { forward, type ForwardDeps } from './http/forward.ts';
import { keyHeader } from './http/request.ts';
import { createModelList } from './openai/models.ts';
import { createProbe } from './openai/probe.ts';
import type { ParamRules } from './http/params.ts';
import { chatBody, deltaOf, errorOf, lastDelta, resultOf } from './openai/reading.ts';
import { endpointsAt } from './http/url.ts';
import type { CompletionOptions, LlmProvider, Reply } from './provider.ts';

export interface OpenAiSettings {
  name: string;
  /** The base URL, with or without `/v1`. */
  url: string;
  /** What `warmup` loads. */
  model?: string | undefined;
  /** Asked before each request, so that a key file may be changed under a running worker. */
  readKey?: (() => Promise<string | undefined>) | undefined;
  /** How a caller's parameters are changed for this backend. */
  params?: ParamRules | undefined;
  /** Silence after which `complete` and `stream` give up; `forward` is told by its call. */
  stallMs?: number | undefined;
  /** How the backend is dialled: its own certificate authority, a check of the address. */
  dialling?: Dialling | undefined;
  /** How a backend differs from OpenAI's protocol. */
  ways?: Pick<ForwardDeps, 'refused' | 'patienceMs'>;
}

/** Any backend that speaks OpenAI's protocol. It holds no connection between requests. */
export function createOpenAiProvider(settings: OpenAiSettings): LlmProvider {
  const endpoints = endpointsAt(settings.url);
  const exchange = createExchange(settings.dialling);
  const readKey = settings.readKey ?? (() => Promise.resolve(undefined));
  const stallMs = settings.stallMs ?? 120_000;
  const deps = { exchange, endpoints, readKey, params: settings.params, ...settings.ways };
  const asking = { exchange, headers: async () => keyHeader(await readKey()) };
  const list = createModelList({ asking, endpoints });
  const kept = createProbe({ asking, endpoints });
  const ask = (options: CompletionOptions, streaming: boolean): AsyncIterable<Reply> => {
    const { model, signal } = options;
    const body = chatBody(options, streaming);
    return forward(deps, { operation: 'chat', body, streaming, headers: {}, model, stallMs, signal });
  };
  const provider: LlmProvider = {
    name: settings.name,
    forward: (call) => forward(deps, call),
    async complete(options) {
      for await (const reply of ask(options, false)) {
        if (reply.kind === 'failed') throw errorOf(reply);
        if (reply.kind === 'end') return resultOf(reply);
      }
      throw new McpctlError('backend_error');
    },
    async *stream(options) {
      for await (const reply of ask(options, true)) {
        if (reply.kind === 'failed') throw errorOf(reply);
        if (reply.kind === 'event') yield* deltaOf(reply.data);
        else yield lastDelta(reply);
      }
    },
    listModels: (signal) => list.models(signal),
    async isAvailable(signal) {
      const answers = await list.answers(signal);
      if (!answers) kept.forget(); // it may come back as another
      return answers;
    },
    probe: (model, signal) => kept.probe(model, signal),
    modelsFingerprint: (signal) => kept.fingerprint(signal),
    async warmup(signal) {
      if (settings.model === undefined) return;
      const messages = [{ role: 'user', content: 'Hi' }];
      await provider.complete({ model: settings.model, messages, maxTokens: 1, signal });
    },
  };
  return provider;
}
