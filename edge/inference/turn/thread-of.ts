import type { Request } from 'express';
import { z } from 'zod';
import { scopeOf } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { ThreadRow, TurnRow } from '../../../core/registry/threads/rows.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';

/** The thread in the path, within the caller's scope; else it is not there, exactly like a random id. */
export async function threadOf(deps: EdgeDeps, req: Request): Promise<ThreadRow> {
  const id = uuidSchema.safeParse(req.params['id']);
  if (!id.success) throw new McpctlError('invalid_id');
  const scope = scopeOf(actorOf(req), 'view', 'thread');
  if (!scope) throw new McpctlError('thread_not_found');
  return await deps.registry.threads.get(id.data, scope);
}

/** The same, for what was said in it: that is its owner's alone, whoever else may see that it is there. */
export async function ownThreadOf(deps: EdgeDeps, req: Request): Promise<ThreadRow> {
  const thread = await threadOf(deps, req);
  const actor = actorOf(req);
  if (thread.ownerId !== actor.userId || actor.by?.readsBodies === false)
    throw new McpctlError('thread_not_found');
  await deps.bodyReads.tell(actor, { resource: 'thread', ...thread });
  return thread;
}

/** The turn in the path, of a thread that was asked for. */
export async function turnIn(deps: EdgeDeps, req: Request, { id }: Pick<ThreadRow, 'id'>): Promise<TurnRow> {
  const n = z.coerce.number().int().min(1).max(2_000_000_000).safeParse(req.params['n']);
  if (!n.success) throw new McpctlError('thread_not_found');
  return await deps.registry.threads.turn(id, n.data);
}

export const turnOf = async (deps: EdgeDeps, req: Request): Promise<TurnRow> =>
  turnIn(deps, req, await ownThreadOf(deps, req));
