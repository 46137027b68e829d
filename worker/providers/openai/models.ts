import { openAiModels } from '../../../core/member/backends.ts';
import { McpctlError } from '../../../core/errors.ts';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import { ask, type Asking } from '../http/ask.ts';
import { failureOfStatus, failureOfThrown } from '../http/failure.ts';
import type { Endpoints } from '../http/url.ts';
import type { ModelInfo } from '../provider.ts';

const availableMs = 3_000;
const listMs = 10_000;

/** What `/models` says: the sign of life of an OpenAI-compatible backend, and its models. */
export function createModelList({ asking, endpoints }: { asking: Asking; endpoints: Endpoints }) {
  const get = (signal: AbortSignal, withinMs: number) =>
    ask(asking, { url: endpoints.models, withinMs }, signal);
  /** The head of the list says so: all of it may be long, and lines are slow. */
  const isThere = async (signal: AbortSignal): Promise<boolean> => {
    const within = anySignal([signal, AbortSignal.timeout(availableMs)]);
    const headers = { accept: 'application/json', ...(await asking.headers()) };
    const answer = await asking.exchange({ method: 'GET', url: endpoints.models, headers, signal: within });
    answer.close('gently');
    return answer.status >= 200 && answer.status < 300;
  };
  return {
    async models(signal: AbortSignal): Promise<ModelInfo[]> {
      try {
        const { status, json } = await get(signal, listMs);
        if (status !== 200) throw new McpctlError('backend_error', failureOfStatus({ status }).message);
        const models = openAiModels(json);
        if (!models) throw new McpctlError('backend_error', 'The backend answered without a list of models.');
        return models.map(({ id, contextLength }) => ({
          id,
          ...(contextLength === undefined ? {} : { contextLength }),
        }));
      } catch (thrown) {
        throw new McpctlError('backend_error', failureOfThrown(thrown).message);
      }
    },
    async answers(signal: AbortSignal): Promise<boolean> {
      try {
        return await isThere(signal);
      } catch {
        return false; // in doubt it does not
      }
    },
  };
}
