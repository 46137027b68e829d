import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';

/** What waits and runs in a pool. */
export interface PoolCounts {
  pending: number;
  running: number;
  oldestPendingMs: number | null;
}

/** What waits and runs in each pool: Postgres knows what has not ended, Redis which of it runs. */
export async function countPools(
  { registry, queue }: { registry: Pick<Registry, 'tasks'>; queue: Pick<QueueDoor, 'running'> },
  poolKeys: readonly string[],
): Promise<Map<string, PoolCounts>> {
  if (poolKeys.length === 0) return new Map();
  const [open, running] = await Promise.all([registry.tasks.open(poolKeys), queue.running.counts(poolKeys)]);
  return new Map(
    poolKeys.map((key, i) => {
      const { count = 0, oldestMs = null } = open.get(key) ?? {};
      const runs = Math.min(count, running[i] ?? 0);
      const pending = count - runs;
      return [key, { pending, running: runs, oldestPendingMs: pending > 0 ? oldestMs : null }];
    }),
  );
}
