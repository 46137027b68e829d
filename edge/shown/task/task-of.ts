import type { Request } from 'express';
import { can, canDo, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { actorOf } from '../../http/context.ts';
import type { EdgeDeps } from '../../deps.ts';

/** The task in the path: one's own, or any for who may see all, within the token's pools; else it is not there, exactly like a random id. */
export async function taskOf(deps: EdgeDeps, req: Request): Promise<TaskRow> {
  const id = uuidSchema.safeParse(req.params['id']);
  if (!id.success) throw new McpctlError('invalid_id');
  const row = await deps.registry.tasks.byId(id.data);
  if (!row) throw new McpctlError('task_not_found');
  const target = { ownerId: row.ownerId, poolKey: row.poolName };
  if (!can(actorOf(req), 'view', { resource: 'task', target })) throw new McpctlError('task_not_found');
  return row;
}

/** What was asked and answered is its owner's to read; of others that a task ran is seen, and what was said in it by `logs` alone. */
export const readsBodies = (actor: Actor, { ownerId }: Pick<TaskRow, 'ownerId'>): boolean =>
  (ownerId === actor.userId && actor.by?.readsBodies !== false) || canDo(actor, 'logs');

/** @throws McpctlError `forbidden` */
export function needReadsBodies(actor: Actor, row: Pick<TaskRow, 'ownerId'>): void {
  if (!readsBodies(actor, row)) throw unread();
}

const unread = (): McpctlError =>
  new McpctlError('forbidden', 'What is said in a task of others may read only who has the operation logs.');

/**
 * Of a task that is not the caller's own: why they may not see it any more, or read what they could read when they asked.
 * @returns undefined where it is their own, which nothing but their token's end takes away.
 */
export function whyNotSeen(
  actor: Actor,
  row: Pick<TaskRow, 'ownerId' | 'poolName'>,
): ((now: Actor) => McpctlError | undefined) | undefined {
  if (row.ownerId === actor.userId && !actor.by) return undefined;
  const wasRead = readsBodies(actor, row);
  const target = { ownerId: row.ownerId, poolKey: row.poolName };
  return (now) => {
    if (!can(now, 'view', { resource: 'task', target })) return new McpctlError('task_not_found');
    if (!wasRead || readsBodies(now, row)) return undefined;
    return unread();
  };
}
