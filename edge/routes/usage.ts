import { Router } from 'express';
import { scopeOf } from '../../core/access.ts';
import { usageQuerySchema } from '../../core/operator/usage.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { queryOf } from '../http/parse.ts';
import { listsInTurn } from '../limits/turns.ts';

/**
 * `GET /api/v1/usage`: who used how much; one's own, or for an admin everybody's; within the token's pools. By token, one
 * that is bound to pools hears of itself: it may know of no other.
 */
export function usageRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/usage', listsInTurn(deps), async (req, res) => {
    const actor = actorOf(req);
    const query = queryOf(req, usageQuerySchema);
    const scope = scopeOf(actor, 'view', 'task');
    const tokenId = query.by === 'token' ? (scopeOf(actor, 'view', 'token')?.tokenId ?? null) : null;
    res.json({
      items: scope ? await deps.registry.usages.of({ ...query, scope: { ...scope, tokenId } }) : [],
    });
  });
  return router;
}
