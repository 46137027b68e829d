import {
  llamaCppProps,
  lmStudioModels,
  openAiModels,
  versionOf,
  type ListedModel,
  type ModelFacts,
} from '../../../core/member/backends.ts';
import type { Capabilities, Operation } from '../../../core/llm.ts';
import { glancing, type Asking, type Glance } from '../http/ask.ts';
import { keepProbes, type Kept } from '../http/wire/kept.ts';
import { operationsOf, thereAt } from '../http/operations.ts';
import type { Endpoints } from '../http/url.ts';
import type { ProbeResult } from '../provider.ts';

export interface ProbeDeps {
  asking: Asking;
  endpoints: Endpoints;
}

/** What a backend says of itself, whatever `type` its owner gave it. */
type Says =
  | { kind: 'lmstudio'; models: ModelFacts[] }
  | { kind: 'vllm'; models: ListedModel[] }
  | { kind: 'llamacpp'; props: Omit<ModelFacts, 'id' | 'chat'>; models: ListedModel[] }
  | { kind: 'plain'; models: ListedModel[] };

/** Probes any backend that speaks OpenAI's protocol; LM Studio, vLLM and llama.cpp by what else they tell. */
export function createProbe({ asking, endpoints }: ProbeDeps): Kept {
  let kind: Says['kind'] | undefined;
  return keepProbes({
    async state(signal) {
      const says = await hear(glancing(asking, signal), endpoints, kind);
      kind = says?.kind;
      return says;
    },
    async ask(model, signal) {
      const glance = glancing(asking, signal);
      const says = await hear(glance, endpoints);
      return says && resultOf(says, await operationsIn(says, { model, glance, endpoints }), model);
    },
  });
}

const all = ['models', '/api/v1/models', '/api/v0/models', '/version', '/props'] as const;
/** What is asked of a backend once it is known: it is asked every few seconds. */
const asked: Readonly<Record<Says['kind'], readonly (typeof all)[number][]>> = {
  lmstudio: ['/api/v1/models', '/api/v0/models'],
  vllm: ['models', '/version'],
  llamacpp: ['models', '/props'],
  plain: ['models'],
};

/**
 * LM Studio first: it answers 200 to whatever the others are known by. Undefined: nobody answers.
 * @param kind as it was heard before.
 */
async function hear(
  glance: Glance,
  { beside, models: list }: Endpoints,
  kind?: Says['kind'],
): Promise<Says | undefined> {
  const paths = kind === undefined ? all : asked[kind];
  const [listed, fresh, older, version, settings] = await Promise.all(
    all.map(async (path) => {
      return paths.includes(path) ? glance(path === 'models' ? list : beside(path)) : undefined;
    }),
  );
  const studio = lmStudioModels(fresh?.json, older?.json);
  if (studio) return { kind: 'lmstudio', models: studio };
  const models = listed?.status === 200 ? openAiModels(listed.json) : undefined;
  if (!models) return undefined;
  const isVllm = versionOf(version?.json) !== undefined && models.some((m) => m.maxModelLen !== undefined);
  if (isVllm) return { kind: 'vllm', models };
  const props = llamaCppProps(settings?.json);
  return props ? { kind: 'llamacpp', props, models } : { kind: 'plain', models };
}

interface Look {
  model: string;
  glance: Glance;
  endpoints: Endpoints;
}

async function operationsIn(says: Says, look: Look): Promise<Operation[] | undefined> {
  switch (says.kind) {
    case 'lmstudio':
      return studioOperations(says.models, look);
    case 'vllm':
      return vllmOperations(look);
    case 'llamacpp':
    case 'plain':
      return operationsOf(look.glance, look.endpoints);
  }
}

/**
 * LM Studio answers 200 to every path, so that its model's type says what it can do; whether the newer paths are
 * there shows in how it refuses an empty request.
 */
async function studioOperations(models: ModelFacts[], look: Look): Promise<Operation[] | undefined> {
  const its = models.find((m) => m.id === look.model);
  if (!its) return undefined;
  if (!its.chat) return ['embeddings'];
  return ['chat', 'completions', ...(await thereAt(['responses', 'messages'], look))];
}

/** An older vLLM has every path and says in a sentence that its model does not do it. It runs one kind of model. */
async function vllmOperations({ model, glance, endpoints }: Look): Promise<Operation[] | undefined> {
  const operations = await operationsOf(glance, endpoints);
  if (!operations?.includes('embeddings')) return operations;
  const nothing = JSON.stringify({ model, input: [] });
  const answer = await glance(endpoints.of('embeddings'), nothing);
  const embeds = answer !== undefined && !/(does not|doesn't|not) support/i.test(answer.text);
  return embeds ? ['embeddings'] : operations.filter((operation) => operation !== 'embeddings');
}

/** They write on from an answer that the messages end with. */
const prefills: readonly Says['kind'][] = ['vllm', 'llamacpp'];

function resultOf(says: Says, operations: Operation[] | undefined, model: string): ProbeResult {
  const listed =
    says.models.find((m) => m.id === model) ?? (says.kind === 'llamacpp' ? says.models[0] : undefined);
  const facts = { ...listed, ...(says.kind === 'llamacpp' ? says.props : {}) };
  const { contextLength, tools, vision, reasoning, slots } = facts;
  const capabilities: Capabilities = {
    ...(operations === undefined ? {} : { operations }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(tools === undefined ? {} : { tools }),
    ...(vision === undefined ? {} : { vision }),
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(prefills.includes(says.kind) && { prefill: true }),
  };
  return { capabilities, ...(slots === undefined ? {} : { slots }) };
}
