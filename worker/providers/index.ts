import { createAnthropicProvider } from './anthropic.ts';
import type { BackendSettings } from './http/settings.ts';
import { createOllamaProvider } from './ollama.ts';
import { createOpenAiProvider } from './openai.ts';
import type { LlmProvider } from './provider.ts';

export interface ProviderType {
  /** Where such a backend listens unless its owner says otherwise. */
  url: string;
  /** How many tasks at once, unless the configuration says. */
  maxConcurrency: number;
  create(settings: BackendSettings): LlmProvider;
}

const openAiAt = (url: string): ProviderType => ({
  url,
  maxConcurrency: 4,
  create: createOpenAiProvider,
});

/** Every `type` that a provider may have in the configuration. */
export const providerTypes = {
  openai: openAiAt('https://api.openai.com/v1'),
  vllm: openAiAt('http://127.0.0.1:8000/v1'),
  lmstudio: openAiAt('http://127.0.0.1:1234/v1'),
  llamacpp: openAiAt('http://127.0.0.1:8080/v1'),
  sglang: openAiAt('http://127.0.0.1:30000/v1'),
  localai: openAiAt('http://127.0.0.1:8080/v1'),
  mlx: openAiAt('http://127.0.0.1:8080/v1'),
  jan: openAiAt('http://127.0.0.1:1337/v1'),
  anthropic: { url: 'https://api.anthropic.com/v1', maxConcurrency: 4, create: createAnthropicProvider },
  // Ollama runs one request per model at a time unless it was told otherwise (OLLAMA_NUM_PARALLEL).
  ollama: {
    url: 'http://127.0.0.1:11434/v1',
    maxConcurrency: 1,
    create: (settings) =>
      createOllamaProvider(settings, (ways) =>
        createOpenAiProvider({ ...settings, ways, written: 'ollama' }),
      ),
  },
} as const satisfies Record<string, ProviderType>;

export type ProviderTypeName = keyof typeof providerTypes;

export function isProviderType(type: string): type is ProviderTypeName {
  return Object.hasOwn(providerTypes, type);
}
