import { Router, type Request, type RequestHandler } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { authenticate } from '../middleware/authenticate.ts';
import { nameFilter, shownSeries, shownWorkers } from '../metrics/shown-to.ts';
import { pageOf, targetsOf } from '../metrics/worker-targets.ts';

const mayScrape: RequestHandler = (req, _res, next) => {
  if (!can(actorOf(req), 'view', { resource: 'metrics' })) throw new McpctlError('forbidden');
  next();
};

/**
 * For scrapers, with a token that may see it, and of llms and pools what that one may see: `GET /metrics` of this edge and the whole installation,
 * `GET /metrics/targets` the workers for Prometheus's `http_sd_configs`, `GET /metrics/workers/<id>` one of them.
 */
export function metricsRoutes(deps: EdgeDeps): Router {
  const { metrics } = deps;
  const router = Router();
  const authenticated = authenticate(deps);
  const workersFor = async (req: Request) => shownWorkers(await metrics.workers(), actorOf(req));
  router.get('/metrics', authenticated, mayScrape, async (req, res) => {
    const { type, text } = await metrics.render();
    res.set('content-type', type).send(await shownSeries(text, nameFilter(deps, actorOf(req))));
  });
  router.get('/metrics/targets', authenticated, mayScrape, async (req, res) => {
    const at = { host: req.get('host') ?? '', scheme: req.protocol };
    res.json(targetsOf(await workersFor(req), at));
  });
  router.get('/metrics/workers/:id', authenticated, mayScrape, async (req, res) => {
    const worker = (await workersFor(req)).find(({ id }) => id === req.params.id);
    if (!worker) throw new McpctlError('session_not_found', 'There is no worker with that id.');
    // The scrape fails, so `up` is 0: that is what it asks.
    if (worker.state === 'gone')
      throw new McpctlError('unavailable', 'This worker was not heard of for longer than its lease.');
    const { type, text } = await pageOf(worker);
    res.set('content-type', type).send(text);
  });
  return router;
}
