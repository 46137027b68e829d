import type { ForwardCall } from '../provider.ts';
import type { Load } from './load.ts';

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
