import { Router } from 'express';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';

/** `GET /api/v1/whoami`: who the server thinks you are. */
export function whoamiRoutes({ version }: EdgeDeps): Router {
  const router = Router();
  router.get('/whoami', (req, res) => {
    const { userName, tokenName, binding } = actorOf(req);
    res.json({ user: userName, token: tokenName, binding, version });
  });
  return router;
}
