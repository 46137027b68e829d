import { Router } from 'express';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { listsInTurn } from '../limits/turns.ts';

/** `GET /api/v1/overview`: how it goes, of what one may see. */
export function overviewRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/overview', listsInTurn(deps), async (req, res) => {
    res.json(await deps.overview(actorOf(req)));
  });
  return router;
}
