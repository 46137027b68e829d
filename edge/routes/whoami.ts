import { Router } from 'express';
import { mayOf, type Actor, type Whoami } from '../../core/access.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';

/** As the server takes who calls. */
export function whoamiOf(actor: Actor, { version }: Pick<EdgeDeps, 'version'>): Whoami {
  const { userName: user, tokenName: token, tokenExpiresAt, binding, pools } = actor;
  const expiresAt = tokenExpiresAt?.toISOString() ?? null;
  return { user, token, expiresAt, binding, version, pools: pools && [...pools], may: mayOf(actor) };
}

/** `GET /api/v1/whoami`: who the server thinks you are. */
export function whoamiRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/whoami', (req, res) => {
    res.json(whoamiOf(actorOf(req), deps));
  });
  return router;
}
