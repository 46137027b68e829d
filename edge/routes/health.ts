import { Router } from 'express';
import { can, type Actor } from '../../core/access.ts';
import type { EdgeDeps } from '../deps.ts';
import { recognise } from '../middleware/authenticate.ts';

/** What is said of the stores is about no pool, as the board is. */
const maySeeChecks = (actor: Actor | undefined): boolean =>
  actor !== undefined && can(actor, 'view', { resource: 'board' });

/** `/livez`: the process turns. `/readyz`: it can serve; what is wrong is told to those with a token that is bound to no pools. */
export function healthRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/livez', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/readyz', recognise(deps), async (req, res) => {
    const results = await deps.checks.look();
    const ready = !deps.stopping.aborted && results.every((result) => result.failure === null);
    const checks = results.map(({ name, failure }) => ({ name, status: failure ?? 'ok' }));
    const verbose = 'verbose' in req.query && maySeeChecks(req.context.actor);
    const status = ready ? 'ok' : deps.stopping.aborted ? 'stopping' : 'not ready';
    res.status(ready ? 200 : 503).json(verbose ? { status, checks } : { status });
  });
  router.get('/', (_req, res) => {
    res.json({ name: 'mcpctl', api: '/api/v1', openai: '/v1' });
  });
  return router;
}
