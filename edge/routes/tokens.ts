import { Router, type Request } from 'express';
import {
  can,
  canToAll,
  scopeOf,
  tokenCreateSchema,
  type Actor,
  type TokenCreate,
} from '../../core/access.ts';
import { needCover } from '../../core/access/covers.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { McpctlError } from '../../core/errors.ts';
import { uuidSchema } from '../../core/names.ts';
import { listQuerySchema } from '../../core/page.ts';
import type { TokenRow } from '../../core/registry/people/tokens.ts';
import type { User } from '../../core/registry/people/users.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { afterOf, bodyOf, cursorOf, queryOf } from '../http/parse.ts';
import { tokenView } from '../shown/llm-view.ts';
import { written } from '../http/written.ts';
import { listsInTurn } from '../limits/turns.ts';

/**
 * Whom the token is for; made when new. A token for somebody else, or with a binding, is for admins to make; one that is
 * bound to pools makes none at all.
 */
async function holderOf(deps: EdgeDeps, actor: Actor, body: TokenCreate): Promise<User> {
  if (!can(actor, 'create', { resource: 'token', target: { ownerId: actor.userId } })) {
    throw new McpctlError(
      'forbidden',
      'Your token is bound to pools and makes no others: make them with one that is not.',
    );
  }
  const own: User = { id: actor.userId, name: actor.userName, binding: actor.binding };
  const isOwn = body.user === undefined || body.user === actor.userName;
  if (isOwn && body.binding === undefined) return own;
  if (!canToAll(actor, 'create', 'token')) {
    throw new McpctlError(
      'forbidden',
      'Only an admin may make tokens for other users or say what they may do.',
    );
  }
  if (body.binding !== undefined) needCover(actor.granted, grantedTo[body.binding].rights);
  const holder = isOwn ? own : await othersOf(deps, actor, body);
  if (body.binding !== undefined && holder.binding !== body.binding) {
    const details = [
      { path: 'binding', message: `the user '${holder.name}' is there already, as ${holder.binding}` },
    ];
    throw new McpctlError('invalid_request', undefined, { details });
  }
  return holder;
}

/** Made when new, by who may make users. */
async function othersOf(
  { registry }: EdgeDeps,
  actor: Actor,
  { user = '', binding }: TokenCreate,
): Promise<User> {
  const there = await registry.users.byName(user);
  if (there) return there;
  if (!can(actor, 'create', { resource: 'user', target: { name: user } }))
    throw new McpctlError(
      'forbidden',
      `There is no user named '${user}', and your token may not create users.`,
    );
  return registry.users.ensure(user, binding ?? 'user');
}

async function found(deps: EdgeDeps, req: Request): Promise<TokenRow> {
  const actor = actorOf(req);
  const asked = String(req.params['id']);
  const { tokens } = deps.registry;
  const isId = uuidSchema.safeParse(asked).success;
  const isName = tokenCreateSchema.shape.name.safeParse(asked).success;
  const row = isId ? await tokens.byId(asked) : isName ? await tokens.byName(actor.userId, asked) : undefined;
  if (
    !row ||
    !can(actor, 'delete', { resource: 'token', target: { ownerId: row.userId, tokenId: row.id } })
  ) {
    throw new McpctlError('token_not_found');
  }
  return row;
}

/** `/api/v1/tokens`. */
export function tokenRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const { tokens } = deps.registry;

  router.post('/tokens', async (req, res) => {
    const actor = actorOf(req);
    const body = bodyOf(req, tokenCreateSchema);
    const { row, text } = await written(
      { ...deps, req },
      { verb: 'create', resource: 'token', name: body.name },
      async () => {
        const holder = await holderOf(deps, actor, body);
        return tokens.create({
          userId: holder.id,
          name: body.name,
          pools: body.pools ?? null,
          expiresInDays: body.expiresInDays ?? null,
          createdBy: { userId: actor.userId, tokenId: actor.tokenId },
        });
      },
    );
    res.status(201).json({ ...tokenView(row), token: text });
  });

  router.get('/tokens', listsInTurn(deps), async (req, res) => {
    const actor = actorOf(req);
    const { limit, after } = queryOf(req, listQuerySchema);
    const scope = scopeOf(actor, 'view', 'token');
    const from = { after: afterOf(after, uuidSchema), limit: limit + 1 };
    const rows = scope ? await tokens.list({ ...from, scope }) : [];
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    res.json({
      items: page.map(tokenView),
      next: rows.length > limit && last ? cursorOf(last.id) : null,
    });
  });

  router.delete('/tokens/:id', async (req, res) => {
    const { id, name } = await found(deps, req);
    await written({ ...deps, req }, { verb: 'delete', resource: 'token', name }, () => tokens.revoke(id));
    deps.authenticator.forget();
    await Promise.all([deps.authority.ask(), deps.putOut.unentitled()]);
    res.status(204).end();
  });
  return router;
}
