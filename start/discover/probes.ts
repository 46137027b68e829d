import { z } from 'zod';
import type { Peek } from './peek.ts';

export type BackendType = 'lmstudio' | 'ollama' | 'vllm' | 'llamacpp' | 'openai';

interface FoundModel {
  id: string;
  contextLength?: number;
  /** Whether it can chat; embedding models cannot. */
  chat: boolean;
  /** Whether it is in memory already, where the backend says so. */
  loaded?: boolean;
}

export interface FoundBackend {
  type: BackendType;
  url: string;
  /** Empty while it loads. */
  models: FoundModel[];
}

type Probe = (peek: Peek) => Promise<FoundBackend | undefined>;

/** In this order: LM Studio answers 200 to anything, and all of them have `/v1/models`. */
export const probes: readonly Probe[] = [lmStudio, ollama, vllm, llamaCpp, openAi];

const size = z.int().positive().optional().catch(undefined);

const newStudio = z.looseObject({
  models: z.array(
    z.looseObject({
      key: z.string(),
      type: z.string().optional(),
      max_context_length: size,
      loaded_instances: z.array(
        z.looseObject({ config: z.looseObject({ context_length: size }).optional() }),
      ),
    }),
  ),
});
const oldStudio = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      state: z.string(),
      type: z.string().optional(),
      max_context_length: size,
      loaded_context_length: size,
    }),
  ),
});

async function lmStudio({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [fresh, older] = await Promise.all([at('/api/v1/models'), at('/api/v0/models')]);
  const list = newStudio.safeParse(fresh?.json).data?.models;
  if (list) {
    const models = list.map((model) => ({
      ...withContext(model.loaded_instances[0]?.config?.context_length ?? model.max_context_length),
      id: model.key,
      chat: isChat(model.type),
      loaded: model.loaded_instances.length > 0,
    }));
    return { type: 'lmstudio', url, models };
  }
  const data = oldStudio.safeParse(older?.json).data?.data;
  if (!data || data.length === 0) return undefined;
  const models = data.map((model) => ({
    ...withContext(model.loaded_context_length ?? model.max_context_length),
    id: model.id,
    chat: isChat(model.type),
    loaded: model.state === 'loaded',
  }));
  return { type: 'lmstudio', url, models };
}

const version = z.looseObject({ version: z.string() });
const tags = z.looseObject({ models: z.array(z.looseObject({ name: z.string() })) });
const shown = z.looseObject({
  capabilities: z.array(z.string()).optional(),
  model_info: z.record(z.string(), z.unknown()).optional(),
});
/** Models asked for their details; a person with more has them listed without. */
const mostShown = 32;

async function ollama({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [says, root] = await Promise.all([at('/api/version'), at('/')]);
  if (!version.safeParse(says?.json).success || root?.text.includes('Ollama is running') !== true) {
    return undefined;
  }
  const names = tags.safeParse((await at('/api/tags'))?.json).data?.models.map((model) => model.name) ?? [];
  const models = await Promise.all(
    names.map(async (id, n): Promise<FoundModel> => {
      const details = n < mostShown ? shown.safeParse((await at('/api/show', { model: id }))?.json).data : {};
      const length = Object.entries(details?.model_info ?? {}).find(([key]) =>
        key.endsWith('.context_length'),
      );
      const chat = details?.capabilities ? details.capabilities.includes('completion') : isChat(id);
      return { id, chat, ...withContext(size.parse(length?.[1])) };
    }),
  );
  return { type: 'ollama', url, models };
}

const openAiModels = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      owned_by: z.string().optional().catch(undefined),
      max_model_len: size,
      context_length: size,
    }),
  ),
});

async function vllm({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [says, list] = await Promise.all([at('/version'), at('/v1/models')]);
  const data = openAiModels.safeParse(list?.json).data?.data;
  const fits =
    version.safeParse(says?.json).success && data?.some((model) => model.max_model_len !== undefined);
  return fits === true && data ? { type: 'vllm', url, models: data.map(plainModel) } : undefined;
}

const props = z.looseObject({ default_generation_settings: z.looseObject({ n_ctx: size }) });
const health = z.looseObject({ status: z.literal('ok') });
const loading = z.looseObject({ error: z.looseObject({ message: z.literal('Loading model') }) });

async function llamaCpp({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [settings, well, list] = await Promise.all([at('/props'), at('/health'), at('/v1/models')]);
  if (well?.status === 503 && loading.safeParse(well.json).success)
    return { type: 'llamacpp', url, models: [] };
  const known = props.safeParse(settings?.json).data;
  const data = openAiModels.safeParse(list?.json).data?.data;
  const its = data?.every((model) => model.owned_by === 'llamacpp') === true;
  if (!known && !(health.safeParse(well?.json).success && its)) return undefined;
  const context = withContext(known?.default_generation_settings.n_ctx);
  return {
    type: 'llamacpp',
    url,
    models: (data ?? []).map((model) => ({ ...plainModel(model), ...context })),
  };
}

async function openAi({ url, at }: Peek): Promise<FoundBackend | undefined> {
  const [usual, docker] = await Promise.all([at('/v1/models'), at('/engines/v1/models')]);
  for (const [list, base] of [
    [usual, url],
    [docker, `${url}/engines/v1`],
  ] as const) {
    const data = list?.status === 200 ? openAiModels.safeParse(list.json).data?.data : undefined;
    if (data) return { type: 'openai', url: base, models: data.map(plainModel) };
  }
  return undefined;
}

function plainModel(model: z.infer<typeof openAiModels>['data'][number]): FoundModel {
  const { id, max_model_len: most, context_length: length = most } = model;
  return { id, chat: isChat(id), ...withContext(length) };
}

function withContext(contextLength: number | undefined): { contextLength?: number } {
  return contextLength === undefined ? {} : { contextLength };
}

/** By a type or, for want of one, by the name: embedding and reranking models cannot chat. */
function isChat(typeOrName: string | undefined): boolean {
  return typeOrName === undefined || !/embed|rerank|(^|[-/_])(bge|e5|gte|minilm)([-_.]|$)/i.test(typeOrName);
}
