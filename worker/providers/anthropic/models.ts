import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import type { Capabilities } from '../../../core/llm.ts';
import { ask, glancing, type Asking } from '../http/ask.ts';
import { failureOfStatus, failureOfThrown } from '../http/failure.ts';
import { keepProbes } from '../http/wire/kept.ts';
import type { Endpoints } from '../http/url.ts';
import type { ModelInfo } from '../provider.ts';

/** Made when the first list is read, as most workers have no such backend. */
const listSchema = z.lazy(() => {
  const size = z.int().positive().nullish().catch(undefined);
  const supported = z.looseObject({ supported: z.boolean() }).nullish().catch(undefined);
  return z.looseObject({
    data: z.array(
      z.looseObject({
        id: z.string(),
        max_input_tokens: size,
        max_tokens: size,
        capabilities: z
          .looseObject({ image_input: supported, thinking: supported })
          .nullish()
          .catch(undefined),
      }),
    ),
  });
});
type Listed = z.infer<typeof listSchema>['data'][number];

const operations: Capabilities['operations'] = ['chat', 'messages'];
const availableMs = 3_000;
const listMs = 10_000;

/** `GET /v1/models` of Anthropic: its models, and what each can do. */
export function createAnthropicModels({ asking, endpoints }: { asking: Asking; endpoints: Endpoints }) {
  const most = new Map<string, number>();
  const list = (limit: number): URL => {
    const url = new URL(endpoints.models);
    url.searchParams.set('limit', String(limit));
    return url;
  };
  const read = (json: unknown): Listed[] | undefined => {
    const models = listSchema.safeParse(json).data?.data;
    for (const { id, max_tokens } of models ?? []) if (max_tokens) most.set(id, max_tokens);
    return models;
  };
  const look = async (signal: AbortSignal): Promise<Listed[] | undefined> => {
    const answer = await glancing(asking, signal)(list(1_000));
    return answer?.status === 200 ? read(answer.json) : undefined;
  };
  const kept = keepProbes({
    state: look,
    async ask(model, signal) {
      const listed = await look(signal);
      return listed && { capabilities: capabilitiesOf(listed.find(({ id }) => id === model)) };
    },
  });
  return {
    kept,
    /** How many tokens a model may answer with, once its list was read. */
    mostTokens: (model: string): number | undefined => most.get(model),
    async models(signal: AbortSignal): Promise<ModelInfo[]> {
      try {
        const { status, json } = await ask(asking, { url: list(1_000), withinMs: listMs }, signal);
        const models = status === 200 ? read(json) : undefined;
        if (!models) throw new McpctlError('backend_error', failureOfStatus({ status }).message);
        return models.map((model) => ({
          id: model.id,
          ...(model.max_input_tokens ? { contextLength: model.max_input_tokens } : {}),
          capabilities: capabilitiesOf(model),
        }));
      } catch (thrown) {
        throw new McpctlError('backend_error', failureOfThrown(thrown).message);
      }
    },
    async answers(signal: AbortSignal): Promise<boolean> {
      const answer = await ask(asking, { url: list(1), withinMs: availableMs }, signal).catch(
        () => undefined,
      );
      const answers = answer?.status === 200;
      if (!answers) kept.forget();
      return answers;
    },
  };
}

function capabilitiesOf(model: Listed | undefined): Capabilities {
  const { image_input: images, thinking } = model?.capabilities ?? {};
  return {
    operations,
    ...(model?.max_input_tokens ? { contextLength: model.max_input_tokens } : {}),
    ...(images ? { vision: images.supported } : {}),
    ...(thinking ? { reasoning: thinking.supported } : {}),
  };
}
