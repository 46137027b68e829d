import type { Request } from 'express';
import { can, type Actor } from '../core/access.ts';
import { McpctlError } from '../core/errors.ts';
import { uuidSchema } from '../core/names.ts';
import { wireHeaders } from '../core/member/protocol.ts';
import { actorOf } from './http/context.ts';
import type { EdgeDeps } from './deps.ts';
import type { Speaker } from './believed/session-speakers.ts';

type Deps = Pick<EdgeDeps, 'registry'>;

/** @param instance where the body has it; else the header. */
export function speakerOf(req: Request, instance = req.get(wireHeaders.instance)): Speaker {
  const { userId, tokenId } = actorOf(req);
  return { userId, tokenId, instance };
}

/**
 * Whether a token may speak for one of its user's sessions: one that is bound to pools only where all that the session
 * publishes lies in them, or it would take away, or answer for, what is none of its business.
 */
export async function maySpeakFor({ registry }: Deps, actor: Actor, sessionId: string): Promise<boolean> {
  // The owner is asked for where the session is used.
  if (actor.pools === null)
    return can(actor, 'edit', { resource: 'session', target: { ownerId: actor.userId } });
  const rows = await registry.llms.bySession(sessionId);
  return rows.every(({ ownerId, poolKey }) =>
    can(actor, 'edit', { resource: 'session', target: { ownerId, poolKey } }),
  );
}

/** @throws McpctlError `session_not_found`, as for one that is not there. */
export async function needSession(deps: Deps, actor: Actor, sessionId: string): Promise<void> {
  if (!(await maySpeakFor(deps, actor, sessionId))) throw new McpctlError('session_not_found');
}

/**
 * The same for a task, or an llm that is being woken, that a worker speaks of.
 * @throws McpctlError `task_not_found`, as for one that is not there.
 */
export async function needServed({ registry }: Deps, actor: Actor, id: string): Promise<void> {
  const own = { ownerId: actor.userId };
  if (actor.pools === null) {
    if (can(actor, 'edit', { resource: 'session', target: own })) return;
    throw new McpctlError('task_not_found');
  }
  if (!uuidSchema.safeParse(id).success) return;
  const poolKey = (await registry.tasks.byId(id))?.poolName ?? (await registry.llms.byId(id))?.poolKey;
  const target = { ...own, ...(poolKey !== undefined && { poolKey }) };
  if (!can(actor, 'edit', { resource: 'session', target })) throw new McpctlError('task_not_found');
}
