import { Router } from 'express';
import type { EdgeDeps } from '../deps.ts';
import { infer, type Asked } from '../inference/infer.ts';
import { turnAsked } from '../inference/turn/asked-turn.ts';
import { takeTurn } from '../inference/turn/turn.ts';
import { modelRoutes } from './models.ts';
import { unknownRoutes } from './unknown.ts';

/**
 * The calls that run something: path under `/v1`, and what it is to us.
 * @internal tests make hostile calls of each
 */
export const inferenceCalls: Record<string, Pick<Asked, 'operation' | 'endpoint'>> = {
  '/chat/completions': { operation: 'chat' },
  '/completions': { operation: 'completions' },
  '/embeddings': { operation: 'embeddings' },
  '/responses': { operation: 'responses' },
  '/messages': { operation: 'messages' },
  '/messages/count_tokens': { operation: 'messages', endpoint: 'count_tokens' },
};

/** The OpenAI-compatible door (docs/openai.md). */
export function openAiRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.use(modelRoutes(deps));
  for (const [path, what] of Object.entries(inferenceCalls))
    router.post(path, (req, res) => {
      const turn = turnAsked(req, what.operation);
      return turn ? takeTurn(deps, { req, res }, turn) : infer(deps, { req, res }, { source: 'v1', ...what });
    });
  router.use(unknownRoutes());
  return router;
}
