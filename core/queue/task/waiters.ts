import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import { runScript } from '../scripts.ts';

/** How long a wait counts after its edge has last said that it goes on, by Redis's clock. */
export const WAITER_LEASE_MS = 10_000;

/** Somebody who waits for a task, and how long the task outlives the last of them. */
export interface Waiter extends TaskRef {
  /** Names this one wait; random. */
  attachment: string;
  graceMs: number;
  /** As in `Submission`. */
  edge?: string | undefined;
}

interface Door {
  redis: Redis;
  keys: Keys;
}

/** Takes or renews the lease of a wait. @returns false when the task has ended. @throws McpctlError `unavailable`. */
export async function attachWaiter({ redis, keys }: Door, waiter: Waiter): Promise<boolean> {
  const pool = keys.pool(waiter.poolKey);
  const { fence, attached } = pool.task(waiter.taskId);
  const answer = await orUnavailable(
    runScript(redis, 'attach', {
      keys: [fence, attached, pool.orphans],
      args: [waiter.taskId, waiter.attachment, WAITER_LEASE_MS, waiter.graceMs, waiter.edge ?? ''],
    }),
  );
  return answer === 1;
}

/**
 * Gives the lease of a wait back. @returns whether it was the last one: then the task's policy acts.
 * @throws McpctlError `unavailable`: then the lease lapses by itself.
 */
export async function detachWaiter(
  { redis, keys }: Door,
  waiter: Waiter,
): Promise<'last' | 'others' | 'over'> {
  const pool = keys.pool(waiter.poolKey);
  const { fence, attached } = pool.task(waiter.taskId);
  const answer = await orUnavailable(
    runScript(redis, 'detach', {
      keys: [fence, attached, pool.orphans],
      args: [waiter.taskId, waiter.attachment, waiter.graceMs, waiter.edge ?? ''],
    }),
  );
  return answer === 'last' || answer === 'others' ? answer : 'over';
}
