import type { Actor } from '../../core/access.ts';
import type { Liveness } from '../../core/flow/alive/liveness.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { membersView } from './llm-view.ts';

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

interface Deps {
  poolCounts: (keys: readonly string[]) => Promise<ReadonlyMap<string, PoolCounts>>;
  registry: { pools: Pick<Registry['pools'], 'ownersOf'> };
  liveness: Pick<Liveness, 'loadPools'>;
  clock: Clock;
}

/** Pools that an actor may see: the members among those that they may see, whose they are, and what waits and runs in them. */
export async function seenPools(
  { poolCounts, registry, liveness, clock }: Deps,
  actor: Actor,
  keys: readonly string[],
) {
  const [pools, counts, owners] = await Promise.all([
    liveness.loadPools(keys),
    poolCounts(keys),
    registry.pools.ownersOf(keys),
  ]);
  return pools.map((pool) => {
    const owner = owners.get(pool.key);
    return {
      owner,
      view: {
        ...membersView(pool, { clock, actor, isPoolSeen: true }),
        owner: owner?.name ?? null,
        ...(counts.get(pool.key) ?? { pending: 0, running: 0, oldestPendingMs: null }),
      },
    };
  });
}
