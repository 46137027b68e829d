import { z } from 'zod';

/**
 * What the known backends say about themselves, read from their own JSON; `npm start` finds backends by it and a
 * worker learns by it what they can do. Nothing here asks anybody; every function takes whatever came and gives
 * undefined where it is not what that backend says.
 */

export interface ModelFacts {
  id: string;
  /** Tokens. */
  contextLength?: number;
  /** Whether it can chat; embedding models cannot. */
  chat: boolean;
  /** Whether it is in memory already, where the backend says so. */
  loaded?: boolean;
  tools?: boolean;
  vision?: boolean;
  reasoning?: boolean;
  /** How many requests it takes at once. */
  slots?: number;
}

const size = z.int().positive().optional().catch(undefined);
/** What an llm may be registered with (core/llm.ts): one odd number must not spoil a whole registration. */
const slotCount = z.int().min(1).max(10_000).optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);

const newStudio = z.looseObject({
  models: z.array(
    z.looseObject({
      key: z.string(),
      type: z.string().optional(),
      max_context_length: size,
      capabilities: z
        .looseObject({ vision: flag, trained_for_tool_use: flag, reasoning: z.unknown().optional() })
        .optional()
        .catch(undefined),
      loaded_instances: z.array(
        z.looseObject({
          config: z.looseObject({ context_length: size, parallel: slotCount }).optional().catch(undefined),
        }),
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

/** LM Studio: `GET /api/v1/models` since 0.4, `/api/v0/models` before. */
export function lmStudioModels(fresh: unknown, older: unknown): ModelFacts[] | undefined {
  const list = newStudio.safeParse(fresh).data?.models;
  if (list) return list.map(newStudioModel);
  const data = oldStudio.safeParse(older).data?.data;
  if (!data || data.length === 0) return undefined;
  return data.map(({ id, type, state, max_context_length: most, loaded_context_length: length = most }) => ({
    id,
    chat: canChat(type),
    loaded: state === 'loaded',
    ...withoutUnknown({ contextLength: length, vision: type === 'vlm' ? true : undefined }),
  }));
}

function newStudioModel(model: z.infer<typeof newStudio>['models'][number]): ModelFacts {
  const { key, type, max_context_length: most, capabilities, loaded_instances: loaded } = model;
  const config = loaded[0]?.config;
  return {
    id: key,
    chat: canChat(type),
    loaded: loaded.length > 0,
    ...withoutUnknown({
      contextLength: config?.context_length ?? most,
      slots: config?.parallel,
      // Not trained for it is not unable: LM Studio prompts any model for tool calls.
      tools: capabilities?.trained_for_tool_use === true ? true : undefined,
      vision: capabilities?.vision,
      reasoning: capabilities?.reasoning === undefined ? undefined : Boolean(capabilities.reasoning),
    }),
  };
}

const version = z.looseObject({ version: z.string() });

/** Ollama's `GET /api/version`, vLLM's `GET /version`. */
export function versionOf(json: unknown): string | undefined {
  return version.safeParse(json).data?.version;
}

const tags = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), digest: z.string().optional().catch(undefined) })),
});
const running = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), context_length: size })),
});
const shown = z.looseObject({
  capabilities: z.array(z.string()).optional().catch(undefined),
  model_info: z.record(z.string(), z.unknown()).optional().catch(undefined),
  parameters: z.string().optional().catch(undefined),
});

/** Ollama's `GET /api/tags`: what is pulled. */
export function ollamaModels(json: unknown): { name: string; digest?: string | undefined }[] | undefined {
  return tags.safeParse(json).data?.models;
}

/** Ollama's `GET /api/ps`: what is in memory, with the context that it was loaded with. */
export function ollamaLoaded(json: unknown): { name: string; contextLength?: number }[] | undefined {
  return running.safeParse(json).data?.models.map(({ name, context_length }) => ({
    name,
    ...withoutUnknown({ contextLength: context_length }),
  }));
}

/**
 * Ollama's `POST /api/show`. Its `num_ctx` parameter, which the model is loaded with, goes before the length that
 * the model was made for. Capabilities that an older Ollama does not tell are left out.
 */
export function ollamaModel(id: string, json: unknown): (ModelFacts & { embeds?: boolean }) | undefined {
  const details = shown.safeParse(json).data;
  if (!details) return undefined;
  const made = Object.entries(details.model_info ?? {}).find(([key]) => key.endsWith('.context_length'))?.[1];
  const set = /^num_ctx\s+(\d+)\s*$/m.exec(details.parameters ?? '')?.[1];
  const says = details.capabilities;
  return {
    id,
    chat: says ? says.includes('completion') : canChat(id),
    ...withoutUnknown({
      contextLength: size.parse(set === undefined ? made : Number(set)),
      embeds: says?.includes('embedding'),
      tools: says?.includes('tools'),
      vision: says?.includes('vision'),
      reasoning: says?.includes('thinking'),
    }),
  };
}

const openAiList = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      owned_by: z.string().optional().catch(undefined),
      context_length: size,
      max_model_len: size,
      max_context_length: size,
      context_window: size,
      n_ctx: size,
      meta: z.looseObject({ n_ctx: size }).optional().catch(undefined),
    }),
  ),
});

export interface ListedModel extends ModelFacts {
  ownedBy?: string;
  /** Only vLLM and its kin say it. */
  maxModelLen?: number;
}

/** `GET /v1/models` of anything that speaks OpenAI's protocol. */
export function openAiModels(json: unknown): ListedModel[] | undefined {
  return openAiList.safeParse(json).data?.data.map((model) => {
    const { id, owned_by: ownedBy, max_model_len: maxModelLen, meta } = model;
    const contextLength =
      model.context_length ??
      maxModelLen ??
      model.max_context_length ??
      model.context_window ??
      model.n_ctx ??
      meta?.n_ctx; // llama.cpp
    return { id, chat: canChat(id), ...withoutUnknown({ contextLength, ownedBy, maxModelLen }) };
  });
}

const props = z.looseObject({
  default_generation_settings: z.looseObject({ n_ctx: size }),
  total_slots: slotCount,
  modalities: z.looseObject({ vision: flag }).optional().catch(undefined),
  chat_template_caps: z
    .looseObject({ supports_tools: flag, supports_tool_calls: flag })
    .optional()
    .catch(undefined),
});

/** llama.cpp's `GET /props`. Its context is that of one slot. */
export function llamaCppProps(json: unknown): Omit<ModelFacts, 'id' | 'chat'> | undefined {
  const says = props.safeParse(json).data;
  if (!says) return undefined;
  const { supports_tools: tools, supports_tool_calls: calls } = says.chat_template_caps ?? {};
  return withoutUnknown({
    contextLength: says.default_generation_settings.n_ctx,
    slots: says.total_slots,
    vision: says.modalities?.vision,
    // A template without tools is no refusal: llama.cpp then has a way of its own.
    tools: tools === true || calls === true ? true : undefined,
  });
}

const loading = z.looseObject({ error: z.looseObject({ message: z.literal('Loading model') }) });
const well = z.looseObject({ status: z.literal('ok') });

/** llama.cpp's `GET /health`. */
export function llamaCppHealth(status: number, json: unknown): 'ok' | 'loading' | undefined {
  if (status === 503 && loading.safeParse(json).success) return 'loading';
  return well.safeParse(json).success ? 'ok' : undefined;
}

/** By a type or, for want of one, by the name: embedding and reranking models cannot chat. */
function canChat(typeOrName: string | undefined): boolean {
  return typeOrName === undefined || !/embed|rerank|(^|[-/_])(bge|e5|gte|minilm)([-_.]|$)/i.test(typeOrName);
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined. */
function withoutUnknown<T extends object>(facts: T): Known<T> {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as Known<T>;
}
