import { Router, type Request } from 'express';
import {
  can,
  scopeOf,
  tokenCreateSchema,
  tokenDeleteQuerySchema,
  type Actor,
  type TokenCreate,
} from '../../core/access.ts';
import { lackOf } from '../../core/access/covers.ts';
import type { Grant } from '../../core/access/grants.ts';
import { nowhere } from '../../core/access/standing.ts';
import { grantsOf, type FilterWords } from '../../core/access/filter.ts';
import { McpctlError } from '../../core/errors.ts';
import { uuidSchema } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import type { TokenRow } from '../../core/registry/people/tokens.ts';
import { checkMint } from '../../core/registry/people/mint.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, bodyOf, cursorOf, queryOf } from '../http/parse.ts';
import { tellable } from '../resources/doubts.ts';
import { tokenView } from '../shown/llm-view.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';

/** @throws McpctlError `invalid_request`: what is not in the preset is not let through by naming it. */
function filterFrom({ preset = 'call', bindings = [], operations = [] }: TokenCreate): FilterWords {
  const grants = bindings.map(({ name = null, ...grant }) => ({ ...grant, name }));
  const lets = grantsOf(preset);
  const beyond = [
    ...grants.map((grant) => lackOf([lets], { grants: [grant], operations: [] })),
    ...operations.map((operation) => lackOf([lets], { grants: [], operations: [operation] })),
  ];
  const details = beyond.flatMap((lack, at) => {
    if (lack === undefined) return [];
    const path = at < grants.length ? `bindings.${at}` : `operations.${at - grants.length}`;
    const message = `the preset ${preset} does not let ${lack} through; name one that does, as full`;
    return [{ path, message }];
  });
  if (details.length > 0) throw new McpctlError('invalid_request', undefined, { details });
  return { preset, bindings: grants, operations };
}

async function rowOf(deps: EdgeDeps, req: Request): Promise<TokenRow> {
  const actor = actorOf(req);
  const asked = String(req.params['id']);
  const { tokens } = deps.registry;
  const isId = uuidSchema.safeParse(asked).success;
  const isName = tokenCreateSchema.shape.name.safeParse(asked).success;
  const row = isId ? await tokens.byId(asked) : isName ? await tokens.byName(actor.userId, asked) : undefined;
  if (!row) throw new McpctlError('token_not_found');
  const target = { ownerId: row.userId, tokenId: row.id };
  if (!can(actor, 'view', { resource: 'token', target })) throw new McpctlError('token_not_found');
  if (!can(actor, 'delete', { resource: 'token', target }))
    throw new McpctlError('forbidden', `Your token may not delete the token '${row.name}'.`);
  return row;
}

/** What it is let through to and is not there: a worker's pool is made by the worker. */
async function warningsOf(
  { registry }: EdgeDeps,
  actor: Actor,
  { filter, pools }: Pick<TokenRow, 'filter' | 'pools'>,
): Promise<string[]> {
  const calls = filter.preset === 'call' ? (pools ?? []) : [];
  const bound = calls.map((name): Grant => ({ role: 'view', resource: 'pool', name }));
  const gone = [filter.bindings, bound].map((grants) => registry.groups.danglingOf(grants));
  return tellable((await Promise.all(gone)).flat(), actor).map(nowhere);
}

/** `/api/v1/tokens`. */
export function tokenRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const { tokens } = deps.registry;

  router.post('/tokens', async (req, res) => {
    const actor = actorOf(req);
    const body = bodyOf(req, tokenCreateSchema);
    checkMint(actor);
    const filter = filterFrom(body);
    const pools = body.pools ?? null;
    // Before: once it is made, what fails here would lose its text.
    const warnings = await warningsOf(deps, actor, { filter, pools });
    const { row, text } = await written(
      { ...deps, req },
      { verb: 'create', resource: 'token', name: body.name },
      () =>
        tokens.mint({
          name: body.name,
          pools,
          filter,
          expiresInDays: body.expiresInDays ?? null,
          holder: { user: body.user, binding: body.binding },
          createdBy: { userId: actor.userId, tokenId: actor.tokenId },
          author: actor,
        }),
    );
    res.status(201).json({ ...tokenView(row), token: text, ...(warnings.length > 0 && { warnings }) });
  });

  router.get('/tokens', listsInTurn(deps), async (req, res) => {
    const actor = actorOf(req);
    const { limit, after } = queryOf(req, listQuerySchema);
    const scope = scopeOf(actor, 'view', 'token');
    if (!scope) throw new McpctlError('forbidden', `Your token '${actor.tokenName}' may not view tokens.`);
    const from = { after: afterOf(after, uuidSchema), limit: limit + 1 };
    const rows = await tokens.list({ ...from, scope });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    res.json({
      items: page.map(tokenView),
      next: rows.length > limit && last ? cursorOf(last.id) : null,
    });
  });

  router.delete('/tokens/:id', async (req, res) => {
    const { children } = queryOf(req, tokenDeleteQuerySchema);
    const { id, name } = await rowOf(deps, req);
    await written({ ...deps, req }, { verb: 'delete', resource: 'token', name }, () =>
      tokens.revoke(id, { keepChildren: children === 'keep', author: actorOf(req) }),
    );
    deps.authenticator.forget();
    await Promise.all([deps.authority.ask(), deps.putOut.unentitled()]);
    res.status(204).end();
  });
  return router;
}
