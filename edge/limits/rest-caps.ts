import type { ErrorCode } from '../../core/errors.ts';
import { LARGE_BODY_BYTES } from '../../core/text/large-body.ts';
import type { Registry } from '../../core/registry/registry.ts';
import { SMALL_BODY_BYTES } from '../../core/registry/tasks/task-counts.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import { createOpenCounts } from './open-counts.ts';

export type RestCap = 'user_queued_bytes' | 'pool_queued_bytes' | 'queued_bytes';

/** The bytes of bodies that rest in the stores: of tasks that wait or run, until they end. */
export interface RestCaps {
  /** Inserts a task with such a body, if there is room for it. @throws McpctlError `too_many_requests`, `queue_full`. */
  within<T>(task: { userId: string; poolKey: string; bytes: number }, insert: () => Promise<T>): Promise<T>;
}

export interface RestCapsDeps {
  config: Settings<'bodyLimitBytes' | 'maxQueuedBytes' | 'maxPoolQueuedBytes' | 'maxUserQueuedBytes'>;
  registry: { tasks: Pick<Registry['tasks'], 'openBytes'> };
  clock: Clock;
  log: Log;
  refusal: (cap: RestCap, code: ErrorCode, message: string) => Error;
}

/** How much open tasks of a user, of a pool and of all may weigh together. */
export function capRest({ config, registry, clock, log, refusal }: RestCapsDeps): RestCaps {
  const { tasks } = registry;
  // One body alone always fits.
  const most = {
    user: Math.max(config.maxUserQueuedBytes, config.bodyLimitBytes),
    pool: Math.max(config.maxPoolQueuedBytes, config.bodyLimitBytes),
    all: Math.max(config.maxQueuedBytes, config.bodyLimitBytes),
  };
  const ofUsers = createOpenCounts({ count: (ownerId) => tasks.openBytes({ ownerId }), clock, log });
  const ofPools = createOpenCounts({ count: (poolKey) => tasks.openBytes({ poolKey }), clock, log });
  const inAll = createOpenCounts({ count: () => tasks.openBytes('all'), clock, log });
  return {
    async within({ userId, poolKey, bytes }, insert) {
      if (bytes <= SMALL_BODY_BYTES) return await insert();
      const weight = { size: bytes, isLarge: bytes > LARGE_BODY_BYTES };
      const user = `With this request of ${bytes} bytes those of your tasks that wait or run would be over ${most.user} bytes, the most for one user (MCPCTL_MAX_USER_QUEUED_BYTES). Let some end, or cancel some.`;
      const pool = `With this request of ${bytes} bytes those that wait or run in the pool '${poolKey}' would be over ${most.pool} bytes, the most for one pool (MCPCTL_MAX_POOL_QUEUED_BYTES). Try again later, or use another llm.`;
      const all = `With this request of ${bytes} bytes those of all tasks that wait or run would be over ${most.all} bytes, the most that is kept (MCPCTL_MAX_QUEUED_BYTES). Try again later.`;
      const ofUser = {
        ...weight,
        key: userId,
        most: most.user,
        refusal: () => refusal('user_queued_bytes', 'too_many_requests', user),
      };
      const ofPool = {
        ...weight,
        key: poolKey,
        most: most.pool,
        refusal: () => refusal('pool_queued_bytes', 'queue_full', pool),
      };
      const ofAll = {
        ...weight,
        key: 'all',
        most: most.all,
        refusal: () => refusal('queued_bytes', 'too_many_requests', all),
      };
      return await ofUsers.within(ofUser, () => ofPools.within(ofPool, () => inAll.within(ofAll, insert)));
    },
  };
}
