import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import type { ModelInfo } from '../provider.ts';
import { jsonObject } from '../http/ending.ts';
import { failureOfStatus, failureOfThrown } from '../http/failure.ts';
import type { ForwardDeps } from '../http/forward.ts';
import { keyHeader } from '../http/request.ts';

const availableMs = 3_000;
const listMs = 10_000;
const listBytes = 4_000_000;

/** What `/models` says: the sign of life of an OpenAI-compatible backend, and its models. */
export function createModelList({ exchange, endpoints, readKey }: ForwardDeps) {
  const get = async (signal: AbortSignal, withinMs: number) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
    const headers = { accept: 'application/json', ...keyHeader(await readKey()) };
    const answer = await exchange({ method: 'GET', url: endpoints.models, headers, signal: limit });
    try {
      return { status: answer.status, body: await answer.text(listBytes) };
    } finally {
      answer.close('now');
    }
  };
  return {
    async models(signal: AbortSignal): Promise<ModelInfo[]> {
      try {
        const { status, body } = await get(signal, listMs);
        if (status !== 200) throw new McpctlError('backend_error', failureOfStatus({ status }).message);
        return modelsOf(body ?? '');
      } catch (thrown) {
        throw new McpctlError('backend_error', failureOfThrown(thrown).message);
      }
    },
    async answers(signal: AbortSignal): Promise<boolean> {
      try {
        const { status } = await get(signal, availableMs);
        return status >= 200 && status < 300;
      } catch {
        return false; // in doubt it does not
      }
    },
  };
}

const listSchema = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
const contextKeys = ['context_length', 'max_model_len', 'max_context_length', 'context_window', 'n_ctx'];

function modelsOf(body: string): ModelInfo[] {
  const list = listSchema.safeParse(jsonObject(body));
  if (!list.success) throw new McpctlError('backend_error', 'The backend answered without a list of models.');
  return list.data.data.map((model) => {
    const meta = typeof model['meta'] === 'object' ? model['meta'] : undefined; // llama.cpp keeps it there
    const known: Record<string, unknown> = { ...model, ...meta };
    const length = contextKeys.map((key) => known[key]).find((n) => Number.isSafeInteger(n) && Number(n) > 0);
    return { id: model.id, ...(length === undefined ? {} : { contextLength: Number(length) }) };
  });
}
