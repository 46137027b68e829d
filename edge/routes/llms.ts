import { Router, type Request, type Response } from 'express';
import { can, scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import {
  llmCreateSchema,
  llmDeleteQuerySchema,
  llmListQuerySchema,
  llmPatchSchema,
  llmReplaceSchema,
  type LlmRow,
} from '../../core/llm.ts';
import { nameSchema, poolKeyOf } from '../../core/names.ts';
import { mayView, targetOf } from '../../core/registry/llms/row.ts';
import { checkRevision } from '../../core/registry/llms/write.ts';
import { joinerOf } from '../../core/registry/names/joiner.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import type { LiveLlm } from '../../core/flow/alive/liveness.ts';
import { afterOf, bodyOf, cursorOf, ifMatchOf, queryOf, showRevision } from '../http/parse.ts';
import { llmView, membersView, seenIn } from '../shown/llm-view.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';
import { didYouMean } from '../../core/runtime/nearest.ts';

/** How many rows one call may look at for its status: the status shown is not the one stored. */
const SCAN = 20;

const mayEdit = (actor: Actor, row: LlmRow): boolean =>
  can(actor, 'edit', { resource: 'llm', target: targetOf(row) });

/** A name that cannot be one is a name that is not there. */
function nameOf(req: Request): string {
  const parsed = nameSchema.safeParse(req.params['name']);
  if (!parsed.success) throw new McpctlError('llm_not_found');
  return parsed.data;
}

async function rowOf(deps: EdgeDeps, req: Request): Promise<LlmRow> {
  const name = nameOf(req);
  const actor = actorOf(req);
  const row = await deps.registry.llms.byName(name);
  if (row && mayView(actor, row)) return row;
  const near = await deps.registry.names.similar(name, scopeOf(actor, 'view', 'llm'));
  throw new McpctlError('llm_not_found', `There is no llm named '${name}'.${didYouMean(near)}`);
}

async function answer(deps: EdgeDeps, res: Response, row: LlmRow): Promise<void> {
  const [llm] = await deps.liveness.llms([row]);
  showRevision(res, row);
  res.json(llm ? llmView(llm, true) : null);
}

async function list(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const actor = actorOf(req);
  const { limit, after, status, ...filter } = queryOf(req, llmListQuerySchema);
  const scope = scopeOf(actor, 'view', 'llm');
  if (!scope) return void res.json({ items: [], next: null });
  let from = afterOf(after, nameSchema);
  const items: LiveLlm[] = [];
  let more = true;
  for (let scanned = 0; more && items.length < limit && scanned < SCAN; scanned++) {
    const rows = await deps.registry.llms.list({ ...filter, scope, after: from, limit: limit + 1 });
    more = rows.length > limit;
    for (const llm of await deps.liveness.llms(rows.slice(0, limit))) {
      if (items.length === limit) {
        more = true;
        break;
      }
      from = llm.row.name;
      if (status === undefined || llm.status === status) items.push(llm);
    }
  }
  res.json({
    items: items.map((llm) => llmView(llm, mayEdit(actor, llm.row))),
    next: more && from !== undefined ? cursorOf(from) : null,
  });
}

async function show(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const row = await rowOf(deps, req);
  const pool = await deps.liveness.loadPool(row.poolKey);
  const llm = pool.members.find((member) => member.row.id === row.id);
  if (!llm) throw new McpctlError('llm_not_found');
  const actor = actorOf(req);
  const { size, activeCount } = seenIn(pool, { actor, isPoolSeen: false });
  showRevision(res, row);
  res.json({
    ...llmView(llm, mayEdit(actor, row)),
    pool: { key: pool.key, size, activeCount },
  });
}

async function remove(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const actor = actorOf(req);
  const row = await rowOf(deps, req);
  const { force } = queryOf(req, llmDeleteQuerySchema);
  const how = { by: joinerOf(actor, row.poolKey), force };
  const { putsOut } = await deps.registry.llms.needDelete(row, how);
  const isLive = await deps.liveness.sessions(row.providerSessionId ? [row.providerSessionId] : []);
  const ifMatch = ifMatchOf(req);
  await written({ ...deps, req }, { verb: 'delete', resource: 'llm', name: row.name }, async () => {
    if (!force) return await deps.registry.llms.delete(row.name, { ...how, ifMatch, isLive });
    checkRevision(row, ifMatch);
    // A guest would be back with its next registration.
    if (putsOut && row.ownerId !== actor.userId)
      await deps.registry.pools.deny(row.poolKey, row.ownerId, actor);
    await deps.putOut.rows({ llmId: row.id });
    return await deps.registry.llms.delete(row.name, { ...how, ifMatch: null, isLive: () => false });
  });
  res.status(204).end();
}

/** `/api/v1/llms`: docs/spec.md §2. */
export function llmRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const { llms } = deps.registry;

  const looking = listsInTurn(deps);
  router.get('/llms', looking, (req, res) => list(deps, req, res));
  router.get('/llms/:name', looking, (req, res) => show(deps, req, res));
  router.get('/llms/:name/members', looking, async (req, res) => {
    const row = await rowOf(deps, req);
    const pool = await deps.liveness.loadPool(row.poolKey);
    res.json(membersView(pool, { clock: deps.clock, actor: actorOf(req), isPoolSeen: false }));
  });

  router.post('/llms', async (req, res) => {
    const actor = actorOf(req);
    const body = bodyOf(req, llmCreateSchema);
    const row = await written({ ...deps, req }, { verb: 'create', resource: 'llm', name: body.name }, () =>
      llms.create(body, joinerOf(actor, poolKeyOf(body))),
    );
    res.status(201).location(`/api/v1/llms/${row.name}`);
    await answer(deps, res, row);
  });

  router.put('/llms/:name', async (req, res) => {
    const actor = actorOf(req);
    const llm = { ...bodyOf(req, llmReplaceSchema), name: nameOf(req) };
    const write = { by: joinerOf(actor, poolKeyOf(llm)), ifMatch: ifMatchOf(req) };
    const { row, created } = await written(
      { ...deps, req },
      { verb: 'edit', resource: 'llm', name: llm.name },
      () => llms.put(llm, write),
    );
    if (created) res.status(201);
    await answer(deps, res, row);
  });

  router.patch('/llms/:name', async (req, res) => {
    const actor = actorOf(req);
    const { name, poolKey } = await rowOf(deps, req);
    const patch = bodyOf(req, llmPatchSchema);
    const write = { by: joinerOf(actor, poolKey), ifMatch: ifMatchOf(req) };
    const row = await written({ ...deps, req }, { verb: 'edit', resource: 'llm', name }, () =>
      llms.patch(name, patch, write),
    );
    await answer(deps, res, row);
  });

  router.delete('/llms/:name', (req, res) => remove(deps, req, res));
  return router;
}
