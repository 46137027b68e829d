/**
 * The scripted backend dressed as one that people run: its own paths, the way it refuses, what it says of itself.
 * Answers to calls are still scripted (test/support/backend.ts).
 *
 *   const backend = await startKnown.ollama({ capabilities: ['completion', 'tools'] });
 */
import { startBackend, type Backend, type BackendRequest, type Route } from './backend.ts';

const list = (...models: object[]) => ({ object: 'list', data: models });
const says = (body: unknown, status?: number): Route => {
  return () => ({ body, ...(status === undefined ? {} : { status }) });
};
const paths = {
  chat: '/v1/chat/completions',
  completions: '/v1/completions',
  embeddings: '/v1/embeddings',
  responses: '/v1/responses',
  messages: '/v1/messages',
} as const;
const isEmpty = ({ json }: BackendRequest): boolean => json === undefined || Object.keys(json).length === 0;

const studioModels = [
  {
    key: 'qwen/qwen3-8b',
    type: 'llm',
    max_context_length: 40960,
    capabilities: { vision: false, trained_for_tool_use: true },
    loaded_instances: [{ id: 'qwen/qwen3-8b', config: { context_length: 8192, parallel: 4 } }],
  },
  {
    key: 'google/gemma-3-4b',
    type: 'llm',
    max_context_length: 131072,
    capabilities: { vision: true, trained_for_tool_use: false, reasoning: { default: 'on' } },
    loaded_instances: [],
  },
  { key: 'nomic-embed-text', type: 'embedding', max_context_length: 2048, loaded_instances: [] },
];

/** Answers 200 to every path, also to those that others are known by. */
async function lmStudio({ messages = true, models = studioModels } = {}): Promise<Backend> {
  const backend = await startBackend();
  backend.models = models.map((model) => model.key);
  backend.operations = [
    'chat',
    'completions',
    'embeddings',
    'responses',
    ...(messages ? ['messages' as const] : []),
  ];
  backend.routes = {
    '/api/v1/models': () => ({ body: { models } }),
    '/v1/models': () => ({ body: list(...backend.models.map((id) => ({ id, object: 'model' }))) }),
    '*': (request) => {
      const there = backend.operations.some((operation) => paths[operation] === request.path);
      if (there && request.method === 'POST') {
        return isEmpty(request) ? { status: 400, body: { error: 'messages is required' } } : undefined;
      }
      return { body: { error: `Unexpected endpoint or method. (${request.method} ${request.path})` } };
    },
  };
  return backend;
}

interface OllamaModel {
  name: string;
  capabilities?: string[];
  context?: number;
  parameters?: string;
}

const ollamaModels: OllamaModel[] = [
  { name: 'qwen3:30b', capabilities: ['completion', 'tools', 'thinking'], context: 262144 },
  {
    name: 'llava:latest',
    capabilities: ['completion', 'vision'],
    context: 4096,
    parameters: 'num_ctx    2048\nstop "x"',
  },
  { name: 'nomic-embed-text:latest', capabilities: ['embedding'], context: 2048 },
];

export interface Ollama extends Backend {
  pulled: OllamaModel[];
  /** In memory, with the context that each was loaded with. */
  loaded: Record<string, number>;
  /** Bodies of what came to `/api/generate` and `/api/embed`. */
  loads: Record<string, unknown>[];
}

async function ollama(pulled = ollamaModels): Promise<Ollama> {
  const backend = await startBackend();
  const dressed: Ollama = Object.assign(backend, { pulled, loaded: {}, loads: [] });
  const find = (name: unknown) =>
    dressed.pulled.find((model) => model.name === name || model.name === `${String(name)}:latest`);
  const load =
    (capability: string): Route =>
    ({ json = {} }) => {
      const model = find(json['model']);
      if (!model) return { status: 404, body: { error: `model '${String(json['model'])}' not found` } };
      if (model.capabilities?.includes(capability) === false) {
        return { status: 400, body: { error: `"${model.name}" does not support generate` } };
      }
      dressed.loads.push(json);
      dressed.loaded[model.name] ??= 4096;
      return { body: { done: true, done_reason: 'load' } };
    };
  backend.models = [];
  backend.routes = {
    '/': says('Ollama is running'),
    '/api/version': says({ version: '0.13.0' }),
    '/api/tags': () => ({
      body: { models: dressed.pulled.map(({ name }) => ({ name, digest: `sha-${name}` })) },
    }),
    '/api/ps': () => ({
      body: { models: Object.entries(dressed.loaded).map(([name, n]) => ({ name, context_length: n })) },
    }),
    '/api/show': ({ json }) => {
      const model = find(json?.['model']);
      if (!model) return { status: 404, body: { error: 'model not found' } };
      const { capabilities, parameters, context } = model;
      const info = { 'general.architecture': 'x', 'x.context_length': context };
      return { body: { capabilities, parameters, model_info: info } };
    },
    '/api/generate': load('completion'),
    '/api/embed': load('embedding'),
    '/v1/models': () => ({
      body: list(...dressed.pulled.map(({ name }) => ({ id: name, owned_by: 'library' }))),
    }),
  };
  return dressed;
}

/** One of before 0.11: every path is there, and says in a sentence what its model does not do. */
async function vllm({ embeds = false } = {}): Promise<Backend> {
  const backend = await startBackend();
  backend.operations = ['chat', 'completions', 'embeddings', 'responses'];
  const model = { id: 'Qwen/Qwen3-8B', object: 'model', owned_by: 'vllm', max_model_len: 32768 };
  backend.models = [model.id];
  backend.routes = {
    '/version': says({ version: '0.10.2' }),
    '/health': says(''),
    '/v1/models': says(list(model)),
    '/v1/embeddings': ({ json }) => {
      if (!Array.isArray(json?.['input']) || json['input'].length > 0) return undefined;
      const sentence = embeds
        ? 'please provide at least one prompt'
        : 'The model does not support Embeddings API';
      return {
        status: 400,
        body: { object: 'error', message: sentence, type: 'BadRequestError', code: 400 },
      };
    },
  };
  return backend;
}

/** Its server, with the embeddings path that says 501 unless it was started for them. */
async function llamaCpp({ slots = 4, context = 16384 } = {}): Promise<Backend> {
  const backend = await startBackend();
  backend.operations = ['chat', 'completions', 'responses', 'messages'];
  const model = { id: '/models/Qwen3-8B-Q4_K_M.gguf', owned_by: 'llamacpp', meta: { n_ctx_train: 40960 } };
  backend.models = [model.id];
  backend.routes = {
    '/props': says({
      default_generation_settings: { n_ctx: context },
      total_slots: slots,
      modalities: { vision: true, audio: false },
      chat_template_caps: { supports_tools: true, supports_tool_calls: true },
    }),
    '/v1/models': says(list(model)),
    '/v1/embeddings': says(
      { error: { code: 501, message: 'This server does not support embeddings.' } },
      501,
    ),
  };
  return backend;
}

export const startKnown = { lmStudio, ollama, vllm, llamaCpp };
