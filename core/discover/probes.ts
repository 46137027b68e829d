import {
  llamaCppHealth,
  llamaCppProps,
  lmStudioModels,
  ollamaModel,
  ollamaModels,
  openAiModels,
  versionOf,
  type ListedModel,
  type ModelFacts,
} from '../member/backends.ts';
import type { Peek } from './peek.ts';

export type BackendType = 'lmstudio' | 'ollama' | 'vllm' | 'llamacpp' | 'openai';

type FoundModel = Pick<ModelFacts, 'id' | 'contextLength' | 'chat' | 'loaded' | 'tools' | 'vision'>;

export interface FoundBackend {
  type: BackendType;
  url: string;
  /** Empty while it loads. */
  models: FoundModel[];
}

type Probe = (peek: Peek) => Promise<FoundBackend | undefined>;

/** In this order: LM Studio answers 200 to anything, and all of them have `/v1/models`. */
export const probes: readonly Probe[] = [lmStudio, ollama, vllm, llamaCpp, openAi];

async function lmStudio({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [fresh, older] = await Promise.all([at('/api/v1/models'), at('/api/v0/models')]);
  const models = lmStudioModels(fresh?.json, older?.json);
  return models && { type: 'lmstudio', url, models: models.map(plain) };
}

/** Models asked for their details; a person with more has them listed without. */
const mostShown = 32;

async function ollama({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [says, root] = await Promise.all([at('/api/version'), at('/')]);
  if (versionOf(says?.json) === undefined || root?.text.includes('Ollama is running') !== true) {
    return undefined;
  }
  const names = (ollamaModels((await at('/api/tags'))?.json) ?? []).map((model) => model.name);
  const models = await Promise.all(
    names.map(async (id, n) => {
      const details = n < mostShown ? (await at('/api/show', { model: id }))?.json : undefined;
      return plain(ollamaModel(id, details ?? {}) ?? { id, chat: true });
    }),
  );
  return { type: 'ollama', url, models };
}

async function vllm({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [says, list] = await Promise.all([at('/version'), at('/v1/models')]);
  const models = openAiModels(list?.json);
  const fits =
    versionOf(says?.json) !== undefined && models?.some((model) => model.maxModelLen !== undefined);
  return fits === true && models ? { type: 'vllm', url, models: models.map(plain) } : undefined;
}

async function llamaCpp({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [settings, well, list] = await Promise.all([at('/props'), at('/health'), at('/v1/models')]);
  const health = well && llamaCppHealth(well.status, well.json);
  if (health === 'loading') return { type: 'llamacpp', url, models: [] };
  const props = llamaCppProps(settings?.json);
  const models = openAiModels(list?.json);
  const its = models?.every((model) => model.ownedBy === 'llamacpp') === true;
  if (!props && !(health === 'ok' && its)) return undefined;
  return {
    type: 'llamacpp',
    url,
    models: (models ?? []).map((model) => plain({ ...model, ...props })),
  };
}

async function openAi({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [usual, docker] = await Promise.all([at('/v1/models'), at('/engines/v1/models')]);
  for (const [list, base] of [
    [usual, url],
    [docker, `${url}/engines/v1`],
  ] as const) {
    const models = list?.status === 200 ? openAiModels(list.json) : undefined;
    if (models) return { type: 'openai', url: base, models: models.map(plain) };
  }
  return undefined;
}

function plain({ id, contextLength, chat, loaded, ...can }: ModelFacts | ListedModel): FoundModel {
  const { tools, vision } = { tools: undefined, vision: undefined, ...can };
  return {
    id,
    chat,
    ...(tools === true && { tools }),
    ...(vision === true && { vision }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(loaded === undefined ? {} : { loaded }),
  };
}
