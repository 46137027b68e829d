import { McpctlError } from '../../../core/errors.ts';
import type { LlmProvider } from '../provider.ts';

const loadMs = 330_000;

/** Loads a model by the shortest request that it can answer: one token, or one vector. */
export async function warmUp(provider: LlmProvider, model: string, signal: AbortSignal): Promise<void> {
  const { operations } = (await provider.probe?.(model, signal))?.capabilities ?? {};
  if (!provider.forward || operations?.includes('chat') !== false) {
    const messages = [{ role: 'user', content: 'Hi' }];
    await provider.complete({ model, messages, maxTokens: 1, signal });
    return;
  }
  if (!operations.includes('embeddings')) return;
  const call = { body: '{"input":"Hi"}', streaming: false, headers: {}, model, stallMs: loadMs, signal };
  for await (const reply of provider.forward({ operation: 'embeddings', ...call })) {
    if (reply.kind === 'failed') throw new McpctlError(reply.code, reply.message);
  }
}
