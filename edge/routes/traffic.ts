import { Router, type Request } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { trafficQuerySchema, type TrafficQuery, type WatchersView } from '../../core/mcp/traffic/exchange.ts';
import { isPlace } from '../../core/queue/live/traffic.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { queryOf } from '../http/parse.ts';
import { untilClosed } from '../limits/caps.ts';
import { projectFor } from '../mcp/tools.ts';
import { watchTraffic } from '../mcp/traffic/watch.ts';

/** The query is said on purpose; the header is what a browser sends by itself. @throws McpctlError `invalid_cursor`. */
function wantedOf(req: Request): TrafficQuery {
  const { after = req.get('last-event-id'), ...wanted } = queryOf(req, trafficQuerySchema);
  if (after !== undefined && !isPlace(after)) throw new McpctlError('invalid_cursor');
  return { ...wanted, ...(after !== undefined && { after }) };
}

/** What clients ask of a project, as it goes on, and who looks at that. */
export function trafficRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/projects/:name/traffic', async (req, res) => {
    const project = await projectFor(deps, actorOf(req), String(req.params['name']));
    const wanted = wantedOf(req);
    untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming: true }));
    if (req.method === 'HEAD') return void res.type('text/event-stream').end();
    await watchTraffic(deps, { res, project, wanted });
  });
  router.get('/projects/:name/watchers', async (req, res) => {
    const project = await projectFor(deps, actorOf(req), String(req.params['name']));
    if (!can(actorOf(req), 'edit', { resource: 'project', target: project }))
      throw new McpctlError('forbidden', 'Who watches a project is told who may edit it.');
    const view: WatchersView = { items: await deps.queue.traffic.watchers(project.id) };
    res.json(view);
  });
  return router;
}
