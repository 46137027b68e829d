import { Router } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { LEADER } from '../../core/registry/database/leases.ts';
import type { SystemView } from '../../core/operator/system.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { listsInTurn } from '../limits/turns.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** What cannot be asked now is told as such: this is what one looks at when something is away. */
const orElse = <T>(asked: Promise<T>, otherwise: T): Promise<T> => asked.catch(() => otherwise);

/** `GET /api/v1/system`: edges, stores, scheduler and duties, for who may view the board of queues. */
export function systemRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const { checks, queue, registry, self } = deps;
  router.get('/system', listsInTurn(deps), async (req, res) => {
    if (!can(actorOf(req), 'view', { resource: 'board' }))
      throw new McpctlError('forbidden', 'Only who may view the board of queues may see the system.');
    const [stores, edges, schedulerLeads, { duties }] = await Promise.all([
      checks.look(),
      orElse(queue.edges.all(), [self]),
      orElse(registry.leases.isHeld(LEADER), null),
      orElse(queue.tally.read(), { duties: [], counted: [] }),
    ]);
    const view: SystemView = {
      version: deps.version,
      edge: self.id,
      edges: edges.map(({ startedAt, ...edge }) => ({ ...edge, startedAt: iso(startedAt) })),
      stores: stores.map(({ name, failure }) => ({ name, status: failure ?? 'ok' })),
      schedulerLeads,
      duties: duties
        .map(({ duty, ok, failed, left, lastOkMs }) => ({
          ...{ name: duty, ok, failed, left },
          lastOkAt: lastOkMs === 0 ? null : iso(lastOkMs),
        }))
        .sort((a, b) => a.name.localeCompare(b.name)),
    };
    res.json(view);
  });
  return router;
}
