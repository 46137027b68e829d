import type { ForwardCall } from '../provider.ts';
import { ask, type Asking, type Told } from '../http/ask.ts';
import type { Endpoints } from '../http/url.ts';
type Load = (model: string, limits: { signal: AbortSignal; withinMs: number }) => Promise<Told>;

/**
 * Loads a model without having it generate: a request without a prompt, at the path of its kind. One that is
 * loaded already is kept for `keepAlive` from now on. @throws what the connection throws.
 */
export function createLoad(deps: { asking: Asking; endpoints: Endpoints; keepAlive: unknown }): Load {
  const { asking, endpoints, keepAlive } = deps;
  return async (model, { signal, withinMs }) => {
    const post = (path: string, more: object): Promise<Told> => {
      const body = JSON.stringify({ model, ...more, keep_alive: keepAlive });
      return ask(asking, { url: endpoints.beside(path), body, withinMs }, signal);
    };
    const answer = await post('/api/generate', { stream: false });
    // Ollama says of a model that only embeds: "… does not support generate".
    return answer.status === 400 ? post('/api/embed', { input: [] }) : answer;
  };
}

const touchMs = 5_000;

/**
 * After each answer says again how long the model is to stay in memory: Ollama's OpenAI-compatible paths pass over
 * `keep_alive` (ollama/ollama#11458) and each request over them sets it back to the default.
 * @param load undefined where nothing was configured: then nothing is said.
 */
export function createKeepAlive(load: Load | undefined): (call: Pick<ForwardCall, 'model'>) => void {
  let touching = false;
  let again: string | undefined;
  const touch = async (model: string): Promise<void> => {
    touching = true;
    for (let next: string | undefined = model; next !== undefined; next = again) {
      again = undefined;
      const limits = { signal: AbortSignal.timeout(touchMs), withinMs: touchMs };
      await load?.(next, limits).catch(() => undefined); // the next answer says it again
    }
    touching = false;
  };
  return ({ model }) => {
    if (!load) return;
    if (touching) again = model;
    else void touch(model);
  };
}
