import { Router } from 'express';
import { mayOf, type Whoami } from '../../core/access.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';

/** `GET /api/v1/whoami`: who the server thinks you are. */
export function whoamiRoutes({ version }: EdgeDeps): Router {
  const router = Router();
  router.get('/whoami', (req, res) => {
    const actor = actorOf(req);
    const { userName: user, tokenName: token, binding, pools } = actor;
    res.json({
      user,
      token,
      binding,
      version,
      pools: pools && [...pools],
      may: mayOf(actor),
    } satisfies Whoami);
  });
  return router;
}
