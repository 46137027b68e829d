import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import { runScript } from '../scripts.ts';

/** Where a task stands. */
export interface Place {
  /** `waking`: it is queued, and a sleeping member is being woken for it. */
  state: 'queued' | 'waking' | 'running';
  /** How many go before it, and itself. Null: not known, or a member has it. */
  position: number | null;
  /** How long it has been `waking`. */
  seconds?: number;
}

/** A search costs Redis 0.05 µs a job; callers further back than this are told no number. */
const LOOKED_AT = 1_000;

/**
 * The place of a task in its pool's queue, or with a pin in its member's. Of a pool's tasks: those that are
 * pinned to one member are not counted, though that member takes them first.
 * @throws McpctlError `unavailable`.
 */
export async function placeOf(
  redis: Redis,
  keys: Keys,
  { taskId, poolKey, pin }: TaskRef & { pin: string | null },
): Promise<Place> {
  const pool = keys.pool(poolKey);
  const queue = `${keys.namespace}:${pool.queue(pin ?? undefined)}`;
  const call = {
    keys: [pool.task(taskId).fence, `${queue}:wait`, `${queue}:prioritized`],
    args: [LOOKED_AT],
  };
  const place = Number(await orUnavailable(runScript(redis, 'place', call)));
  if (place < 0) return { state: 'running', position: null };
  return { state: 'queued', position: place === 0 ? null : place };
}
