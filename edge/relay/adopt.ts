import { readFences, type Fence } from '../../core/queue/task/fence.ts';
import { runningTasks } from '../../core/queue/live/running.ts';
import { redisNow } from '../../core/queue/live/redis-time.ts';
import type { HeldClaim } from './claims.ts';
import type { Carried, RelayDeps } from './relay-deps.ts';

export interface SaidClaim {
  taskId: string;
  claimId: string;
  /** Where it is known; else the row says. */
  poolKey?: string;
}

const isOf = (fence: Fence, { session, boot }: Carried): boolean =>
  fence.state === 'open' && fence.claim !== '' && fence.session === session && fence.boot === boot;

/**
 * What a worker runs when its stream comes to us: said by itself or by the edge that had it before, and believed only
 * as far as the fences say the same.
 */
export async function adopt(
  { registry, commands, keys, fetchers, config }: RelayDeps,
  carried: Carried,
  claims: readonly SaidClaim[],
): Promise<{ current: HeldClaim[]; stale: { taskId: string; claimId: string }[] }> {
  const refs = await Promise.all(
    claims.map(async ({ taskId, claimId, poolKey }) => ({
      taskId,
      claimId,
      poolKey: poolKey ?? (await registry.tasks.byId(taskId))?.poolName ?? '',
    })),
  );
  const fences = await readFences(commands, keys, refs);
  const now = fences.length === 0 ? 0 : await redisNow(commands);
  const current: HeldClaim[] = [];
  const stale: { taskId: string; claimId: string }[] = [];
  for (const [i, { taskId, claimId, poolKey }] of refs.entries()) {
    const fence = fences[i];
    if (!fence || !isOf(fence, carried) || fence.claim !== claimId) {
      stale.push({ taskId, claimId });
      continue;
    }
    const queue = keys.pool(poolKey).queue(fence.q === '' ? undefined : fence.q.slice(1));
    current.push({
      claim: { taskId, poolKey, claimId, epoch: fence.epoch },
      llmId: fence.llm,
      job: fetchers.jobTakenElsewhere(queue, fence.job),
      runMs: config.runMs,
      // Another stream does not make it begin again.
      agedMs: Math.max(0, now - (fence.claimedAt ?? now)),
    });
  }
  return { current, stale };
}

/** For a worker that does not say what it runs: what the fences say it does. */
export async function findClaims(
  { commands, keys, registry }: Pick<RelayDeps, 'commands' | 'keys' | 'registry'>,
  carried: Carried,
): Promise<SaidClaim[]> {
  const adopted: SaidClaim[] = [];
  const rows = await registry.llms.servedBySession(carried.session);
  for (const poolKey of new Set(rows.map((row) => row.poolKey))) {
    const refs = await runningTasks(commands, keys, poolKey);
    const fences = await readFences(commands, keys, refs);
    for (const [i, { taskId }] of refs.entries()) {
      const fence = fences[i];
      if (fence && isOf(fence, carried)) adopted.push({ taskId, poolKey, claimId: fence.claim });
    }
  }
  return adopted;
}
