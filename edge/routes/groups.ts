import { Router, type Request, type Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { nameSchema } from '../../core/names.ts';
import { userNameSchema } from '../../core/resources/people/identity.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { written } from '../http/written.ts';

/** What cannot be a name is nobody's. */
function namesIn(req: Request): { group: string; user: string } {
  const [group, user] = [
    nameSchema.safeParse(req.params['name']),
    userNameSchema.safeParse(req.params['user']),
  ];
  if (!group.success) throw new McpctlError('group_not_found');
  if (!user.success) throw new McpctlError('user_not_found');
  return { group: group.data, user: user.data };
}

/** `PUT` and `DELETE /api/v1/groups/<group>/members/<user>`. */
export function groupRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const change = async (req: Request, res: Response, how: 'add' | 'remove'): Promise<void> => {
    const names = namesIn(req);
    const what = { verb: 'edit', resource: 'group', name: names.group } as const;
    await written({ ...deps, req }, what, () => deps.registry.groups[how]({ ...names, actor: actorOf(req) }));
    res.status(204).end();
  };
  router.put('/groups/:name/members/:user', (req, res) => change(req, res, 'add'));
  router.delete('/groups/:name/members/:user', (req, res) => change(req, res, 'remove'));
  return router;
}
