import { Router } from 'express';
import type { EdgeDeps } from '../deps.ts';
import { authenticate } from '../middleware/authenticate.ts';

/** `GET /openapi.json`: what `/api/v1` takes and answers, for who has a token. */
export function openApiRoutes(deps: EdgeDeps): Router {
  const router = Router();
  let text: string | undefined;
  router.get('/openapi.json', authenticate(deps), async (_req, res) => {
    // Loaded by the first who asks: what makes the document is of no use to anybody else.
    const { openApiDocument } = await import('../openapi/document.ts');
    text ??= JSON.stringify(openApiDocument(deps.version, deps.resources.definitions));
    res.type('json').send(text);
  });
  return router;
}
