import { Router } from 'express';
import type { EdgeDeps } from '../deps.ts';
import { authenticate } from '../middleware/authenticate.ts';
import { openApiDocument } from '../openapi/document.ts';

/** `GET /openapi.json`: what `/api/v1` takes and answers, for who has a token. */
export function openApiRoutes(deps: EdgeDeps): Router {
  const router = Router();
  let text: string | undefined;
  router.get('/openapi.json', authenticate(deps), (_req, res) => {
    text ??= JSON.stringify(openApiDocument(deps.version));
    res.type('json').send(text);
  });
  return router;
}
