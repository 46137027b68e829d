import { Router, type Request } from 'express';
import { can } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { nameSchema } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import { didYouMean, nearest } from '../../core/runtime/nearest.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, cursorOf, queryOf } from '../http/parse.ts';
import { listsInTurn } from '../limits/turns.ts';

const sees = (req: Request): boolean => can(actorOf(req), 'view', { resource: 'template' });
/** A release brings some dozens. */
const MOST = 500;

async function list({ registry }: EdgeDeps, req: Request) {
  const { limit, after } = queryOf(req, listQuerySchema);
  if (!sees(req)) return { items: [], next: null };
  const from = afterOf(after, nameSchema);
  const rows = await registry.templates.list({ after: from, limit: limit + 1 });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last ? cursorOf(last.name) : null };
}

async function get({ registry }: EdgeDeps, req: Request) {
  const name = String(req.params['name']);
  if (!sees(req)) throw new McpctlError('template_not_found');
  const template = nameSchema.safeParse(name).success ? await registry.templates.byName(name) : undefined;
  if (template) return template;
  const others = await registry.templates.list({ after: undefined, limit: MOST });
  const near = nearest(
    name.slice(0, 63),
    others.map((one) => one.name),
  );
  throw new McpctlError(
    'template_not_found',
    near.length > 0 ? `There is no such template.${didYouMean(near)}` : undefined,
  );
}

/** `GET /api/v1/templates`: what comes with the release. */
export function templateRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/templates', listsInTurn(deps), async (req, res) => void res.json(await list(deps, req)));
  router.get('/templates/:name', async (req, res) => void res.json(await get(deps, req)));
  return router;
}
