import { ask, type Asking, type Told } from '../http/ask.ts';
import type { Endpoints } from '../http/url.ts';

export type Load = (model: string, limits: { signal: AbortSignal; withinMs: number }) => Promise<Told>;

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
