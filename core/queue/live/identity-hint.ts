import type { Redis } from 'ioredis';
import type { Keys } from '../keys.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Subscriber } from '../link/subscriber.ts';

/**
 * Somebody has written to identity: look now. No more than a hint, without contents; it is not said again, and who missed it
 * looks within a second (edge/believed/identity-watch.ts). Nobody may but edges: a worker's own Redis user has no right to the
 * channel (redis-users.ts).
 */
export interface IdentityHint {
  /** @throws McpctlError `unavailable`. */
  tell(): Promise<void>;
  /** @param hear also called when hints may have been missed. @returns the way to stop. @throws McpctlError `unavailable`. */
  listen(hear: () => void): Promise<() => void>;
}

export const createIdentityHint = ({
  redis,
  keys,
  subscriber,
}: {
  redis: Redis;
  keys: Keys;
  subscriber: Subscriber;
}): IdentityHint => ({
  tell: async () => void (await orUnavailable(redis.spublish(keys.identity, '1'))),
  listen: (hear) => subscriber.listen(keys.identity, hear),
});
