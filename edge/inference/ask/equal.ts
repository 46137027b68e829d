import { createHash } from 'node:crypto';
import { reachOf, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { KnownTask, TaskKey } from '../../../core/registry/idempotency.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { readsBodies } from '../../shown/task/task-of.ts';
import type { Wishes } from './headers.ts';
import type { InferenceRequest } from './request.ts';

/**
 * What a call may be repeated under; null when it did not say. Equal are two calls with the same llm, pin,
 * operation and body, byte for byte, whatever door they come through.
 */
export function taskKeyOf(
  actor: Actor,
  { idempotencyKey, pin }: Wishes,
  of: { llmName: string; endpoint?: string | undefined; request: InferenceRequest },
): TaskKey | null {
  if (idempotencyKey === undefined) return null;
  const { operation, hash } = of.request;
  const endpoint = of.endpoint === undefined ? [] : [of.endpoint];
  const equal = JSON.stringify([operation, of.llmName, pin ?? null, hash, ...endpoint]);
  const requestHash = createHash('sha256').update(equal).digest('hex');
  return { ownerId: actor.userId, key: idempotencyKey, requestHash };
}

/**
 * The task that an earlier call made under this key; null when there is none.
 * @throws McpctlError `idempotency_mismatch`, `forbidden`.
 */
export async function equalTask(deps: EdgeDeps, actor: Actor, key: TaskKey): Promise<TaskRow | null> {
  const task = await deps.registry.idempotency.find(key);
  return task ? await needEqual(deps, { actor, key, task }) : null;
}

/** @throws McpctlError `idempotency_mismatch`, `forbidden`. */
export async function needEqual(
  deps: EdgeDeps,
  { actor, key, task }: { actor: Actor; key: TaskKey; task: KnownTask },
): Promise<TaskRow> {
  if (task.requestHash !== key.requestHash) throw new McpctlError('idempotency_mismatch');
  const row = await deps.registry.tasks.byId(task.taskId);
  if (!row) throw new McpctlError('task_not_found');
  // Who acts as another reads by a key what they may read without one.
  if (!readsBodies(actor, row))
    throw new McpctlError('forbidden', 'What another was answered may read only who has the operation logs.');
  // Who calls a tool was asked for its server, whose pool is nobody's to run, and the hash says which server it is.
  if (row.operation === 'mcp') return row;
  // A token that is bound to other pools may not read by a key what it may not run.
  if (reachOf(actor, { poolKey: row.poolName, llm: row.pin ?? row.llmName }) !== null) return row;
  throw new McpctlError('forbidden', `Your token may not run '${row.llmName.slice(0, 128)}'.`);
}
