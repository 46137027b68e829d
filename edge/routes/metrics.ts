import { Router } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { actorOf } from '../context.ts';
import type { EdgeDeps } from '../deps.ts';
import { authenticate } from '../middleware/authenticate.ts';

/** `GET /metrics`, with a token that may see it. */
export function metricsRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/metrics', authenticate(deps), async (req, res) => {
    if (!can(actorOf(req), 'view', { resource: 'metrics' })) throw new McpctlError('forbidden');
    const { type, text } = await deps.metrics.render();
    res.set('content-type', type).send(text);
  });
  return router;
}
