import { ollamaLoaded, ollamaModel, ollamaModels, versionOf } from '../../../core/member/backends.ts';
import type { Operation } from '../../../core/llm.ts';
import { glancing, type Asking, type Glance } from '../http/ask.ts';
import { keepProbes, type Kept } from '../http/wire/kept.ts';
import { operationsOf } from '../http/operations.ts';
import type { Endpoints } from '../http/url.ts';
import type { ProbeResult } from '../provider.ts';

/** `llama3.2` and `llama3.2:latest` are one model. */
export function tagged(model: string): string {
  return /:[^/]*$/.test(model) ? model : `${model}:latest`;
}

/**
 * Probes Ollama by `/api/show`. The context is the one that a model was loaded with last (`/api/ps`), because
 * beyond it Ollama leaves out the beginning of a prompt without a word; before it was ever loaded, what it is set
 * up with or was made for. Ollama does not tell how many requests it runs at once.
 */
export function createOllamaProbe({ asking, endpoints }: { asking: Asking; endpoints: Endpoints }): Kept {
  const contexts = new Map<string, number>(); // by model and digest: what is unloaded is loaded the same again
  const look = async (glance: Glance) => {
    const [version, tags, ps] = await Promise.all(
      ['/api/version', '/api/tags', '/api/ps'].map((path) => glance(endpoints.beside(path))),
    );
    const pulled = ollamaModels(tags?.json);
    if (!pulled) return undefined;
    const models = pulled.map(({ name, digest = '' }) => ({ name, key: `${name} ${digest}` }));
    for (const { name, contextLength } of ollamaLoaded(ps?.json) ?? []) {
      const key = models.find((m) => m.name === name)?.key;
      if (key !== undefined && contextLength !== undefined) contexts.set(key, contextLength);
    }
    return {
      version: versionOf(version?.json),
      models: models.map((m) => ({ ...m, contextLength: contexts.get(m.key) })),
    };
  };
  return keepProbes({
    state: (signal) => look(glancing(asking, signal)),
    async ask(model, signal) {
      const glance = glancing(asking, signal);
      const loaded = (await look(glance))?.models.find((m) => m.name === tagged(model));
      if (!loaded) return undefined; // not pulled, or not there
      const [shown, there] = await Promise.all([
        glance(endpoints.beside('/api/show'), JSON.stringify({ model })),
        operationsOf(glance, endpoints),
      ]);
      const facts = ollamaModel(model, shown?.json);
      const { contextLength } = loaded;
      return facts && resultOf({ ...facts, ...(contextLength && { contextLength }) }, there);
    },
  });
}

function resultOf(
  facts: NonNullable<ReturnType<typeof ollamaModel>>,
  there: Operation[] | undefined = ['chat', 'completions', 'embeddings'],
): ProbeResult {
  const { chat, embeds, contextLength, tools, vision, reasoning } = facts;
  const operations = there.filter((operation) => (operation === 'embeddings' ? (embeds ?? true) : chat));
  return {
    capabilities: {
      operations,
      tokenIds: false,
      ...(contextLength === undefined ? {} : { contextLength }),
      ...(tools === undefined ? {} : { tools }),
      ...(vision === undefined ? {} : { vision }),
      ...(reasoning === undefined ? {} : { reasoning }),
    },
  };
}
