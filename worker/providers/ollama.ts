import { ollamaLoaded, ollamaModels, versionOf } from '../../core/member/backends.ts';
import { McpctlError } from '../../core/errors.ts';
import { failed, type Failed } from './failed.ts';
import { ask } from './http/ask.ts';
import { createExchange } from './http/wire/exchange.ts';
import { failureOfStatus, failureOfThrown, type Refusal } from './http/failure.ts';
import type { ForwardDeps } from './http/forward.ts';
import { keyHeader } from './http/request.ts';
import type { BackendSettings } from './http/settings.ts';
import { endpointsAt } from './http/url.ts';
import { createKeepAlive, createLoad } from './ollama/keep-alive.ts';
import { createOllamaProbe, tagged } from './ollama/probe.ts';
import type { LlmProvider, ModelInfo } from './provider.ts';

const shortMs = 3_000;
/** Before each call: a caller waits for it. */
const glanceMs = 500;
const listMs = 10_000;
/** Ollama's own limit for loading a model (OLLAMA_LOAD_TIMEOUT) and a little. */
const loadMs = 330_000;

export type OllamaWays = Required<Pick<ForwardDeps, 'refused' | 'patienceMs'>>;

/**
 * Ollama: called over its OpenAI-compatible paths, asked and loaded over its own.
 * @param overOpenAi makes the provider for the former.
 */
export function createOllamaProvider(
  settings: BackendSettings,
  overOpenAi: (ways: OllamaWays) => LlmProvider & Required<Pick<LlmProvider, 'forward'>>,
): LlmProvider {
  const endpoints = endpointsAt(settings.url, 'ollama');
  const readKey = settings.readKey ?? (() => Promise.resolve(undefined));
  const exchange = createExchange(settings.dialling);
  const asking = { exchange, headers: async () => keyHeader(await readKey()) };
  const get = (path: string, signal: AbortSignal, withinMs: number) =>
    ask(asking, { url: endpoints.beside(path), withinMs }, signal);
  const kept = createOllamaProbe({ asking, endpoints });
  const load = createLoad({ asking, endpoints, keepAlive: settings.params?.add['keep_alive'] });
  const keepAlive = createKeepAlive(settings.params?.add['keep_alive'] === undefined ? undefined : load);

  const isLoaded = async (model: string, signal: AbortSignal): Promise<boolean> => {
    const { json } = await get('/api/ps', signal, glanceMs);
    return ollamaLoaded(json)?.some(({ name }) => name === tagged(model)) ?? true;
  };
  const base = overOpenAi({
    refused: (refusal, { model }) => refusedBy(refusal, model),
    async patienceMs({ model, stallMs, signal }) {
      const loaded = await isLoaded(model, signal).catch(() => false); // where it is away, the call fails soon
      return loaded ? stallMs : Math.max(stallMs, loadMs);
    },
  });
  return {
    ...base,
    async *forward(call) {
      for await (const reply of base.forward(call)) {
        yield reply;
        if (reply.kind === 'end') keepAlive(call);
      }
    },
    async listModels(signal): Promise<ModelInfo[]> {
      const { status, json } = await get('/api/tags', signal, listMs).catch((thrown: unknown) => {
        throw new McpctlError('backend_error', failureOfThrown(thrown).message);
      });
      const models = status === 200 ? ollamaModels(json) : undefined;
      if (!models) throw new McpctlError('backend_error', 'Ollama answered without a list of models.');
      return models.map(({ name }) => ({ id: name }));
    },
    async isAvailable(signal) {
      const answer = await get('/api/version', signal, shortMs).catch(() => undefined);
      const answers = answer?.status === 200 && versionOf(answer.json) !== undefined;
      if (!answers) kept.forget();
      return answers;
    },
    probe: (model, signal) => kept.probe(model, signal),
    modelsFingerprint: (signal) => kept.fingerprint(signal),
    async warmup(signal) {
      const { model } = settings;
      if (model === undefined) return;
      const answer = await load(model, { signal, withinMs: loadMs });
      if (answer.status === 200) return;
      const refusal = { status: answer.status, body: answer.text };
      const { code, message } = refusedBy(refusal, model) ?? failureOfStatus(refusal);
      throw new McpctlError(code, message);
    },
  };
}

const missing = /model .*not found|try pulling it/i;

/** Ollama says 404 for a model that is not pulled, and 503 when its queue is full (OLLAMA_MAX_QUEUE). */
function refusedBy(refusal: Refusal, model: string): Failed | undefined {
  const { status, body = '', retryAfterS } = refusal;
  if (status === 404 && missing.test(body)) {
    const message = `The model is not pulled on this Ollama; on its machine run: ollama pull ${model}`;
    return failed('backend_misconfigured', message, { blame: 'owner', status, retryable: true });
  }
  if (status !== 503 || !/busy|queue|maximum pending/i.test(body)) return undefined;
  const later = retryAfterS === undefined ? {} : { retryAfterS };
  return failed('backend_not_ready', "Ollama's queue is full.", { blame: 'later', status, ...later });
}
