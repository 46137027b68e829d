import { Router } from 'express';
import { can } from '../../core/access.ts';
import { usageQuerySchema } from '../../core/usage.ts';
import { actorOf } from '../context.ts';
import type { EdgeDeps } from '../deps.ts';
import { queryOf } from '../parse.ts';

/** `GET /api/v1/usage`: who used how much; one's own, or for an admin everybody's. */
export function usageRoutes({ registry }: EdgeDeps): Router {
  const router = Router();
  router.get('/usage', async (req, res) => {
    const actor = actorOf(req);
    const query = queryOf(req, usageQuerySchema);
    const ownerId = can(actor, 'view', { resource: 'task', target: { ownerId: '' } }) ? null : actor.userId;
    res.json({ items: await registry.usages.of({ ...query, ownerId }) });
  });
  return router;
}
