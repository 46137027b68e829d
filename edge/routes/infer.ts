import { Router } from 'express';
import type { EdgeDeps } from '../deps.ts';
import { infer } from '../inference/infer.ts';

/** `POST /api/v1/llms/:name/infer`: an OpenAI chat body in, an OpenAI body or stream out (docs/spec.md §6). */
export function inferRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/llms/:name/infer', (req, res) =>
    infer(deps, { req, res }, { source: 'infer', operation: 'chat', llm: req.params.name }),
  );
  return router;
}
