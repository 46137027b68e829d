import { Router, type Request, type Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import {
  approveSchema,
  changesQuerySchema,
  type ChangesView,
  type ThingChange,
} from '../../core/mcp/pinned/approvals.ts';
import { serverNameSchema } from '../../core/mcp/names.ts';
import { logsQuerySchema } from '../../core/mcp/process/orders.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { whenLeft } from '../http/gone.ts';
import { bodyOf, queryOf } from '../http/parse.ts';
import { tellEach, written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';
import { needMayRead, orderServer, serverToOrder } from '../mcp/process/order-server.ts';
import { nameless } from '../mcp/tools.ts';

/** What cannot be a name is nobody's. */
function nameOf(req: Request): string {
  const parsed = serverNameSchema.safeParse(req.params['name']);
  if (!parsed.success) throw new McpctlError('server_not_found');
  return parsed.data;
}

/** What waits, and what has no name in its project whatever is approved. */
async function changes(deps: EdgeDeps, req: Request): Promise<ChangesView> {
  const server = nameOf(req);
  const view = await deps.registry.approvals.changes(server, queryOf(req, changesQuerySchema), actorOf(req));
  const projects = [];
  for (const { approved, changes, ...one } of view.projects) {
    const late = await nameless(deps, { project: one.project, server });
    const named = changes.map((change) =>
      change.kind === 'tool' && late.has(change.name) ? withoutName(change.name) : change,
    );
    projects.push({
      ...one,
      approved: approved.filter((name) => !late.has(name)),
      changes: [...named, ...approved.filter((name) => late.has(name)).map(withoutName)],
    });
  }
  return { ...view, projects };
}

const withoutName = (name: string): ThingChange => ({
  ...{ kind: 'tool', name, state: 'pending', reason: 'name_taken', hash: null, diff: [] },
});

/** Told of as what it is: an edit of each project. */
async function approve(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const server = nameOf(req);
  const asked = bodyOf(req, approveSchema);
  const what = { verb: 'edit', resource: 'server', name: server } as const;
  const view = await written({ ...deps, req, isTold: () => false }, what, () =>
    deps.registry.approvals.approve(server, asked, actorOf(req)),
  );
  tellEach(
    { ...deps, req },
    view.projects
      .filter(({ approved, offers }) => approved.length + offers.length > 0)
      .map(({ project: name }) => ({ resource: 'project', name, outcome: 'changed', changed: ['approved'] })),
  );
  res.json(view);
}

/** What a server has besides create, read, update and delete. */
export function serverRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/servers/:name/changes', listsInTurn(deps), async (req, res) => {
    res.json(await changes(deps, req));
  });
  router.get('/servers/:name/logs', async (req, res) => {
    const actor = actorOf(req);
    const server = await serverToOrder(deps, actor, nameOf(req));
    needMayRead(actor, server);
    const { after } = queryOf(req, logsQuerySchema);
    await deps.bodyReads.tell(actor, { resource: 'server', ...server });
    res.json(await orderServer(deps, server, { order: 'logs', after, left: whenLeft(res) }));
  });
  router.post('/servers/:name/restart', async (req, res) => {
    const actor = actorOf(req);
    const server = await serverToOrder(deps, actor, nameOf(req));
    const changes = [{ field: 'process', to: 'restarted' }];
    const what = { verb: 'edit', resource: 'server', name: server.name } as const;
    await written({ ...deps, req, detailOf: () => ({ changed: ['process'] }) }, what, () =>
      deps.registry.audits.record(actor, { ...what, ...server, changes }),
    );
    res.json(await orderServer(deps, server, { order: 'restart', left: whenLeft(res) }));
  });
  router.post('/servers/:name/approve', (req, res) => approve(deps, req, res));
  return router;
}
