import { createHash, randomBytes } from 'node:crypto';
import type { QueueDoor } from '../../core/queue/door.ts';
import { orUnavailable } from '../../core/queue/connect.ts';

/** A working day; then the token is asked for again. */
export const SESSION_MS = 8 * 3_600_000;

/**
 * Browser sessions of the admin pages: a navigation carries no Bearer token, so that a cookie stands for one. Kept in
 * Redis, so that any edge knows them. The cookie is 256 random bits and needs no signature, hence no secret that edges
 * would have to share; only its hash is stored.
 */
export interface AdminSessions {
  /** @returns the cookie's value. */
  begin(tokenId: string): Promise<string>;
  /** The token that a cookie stands for; undefined when it is none of ours, or over. */
  tokenIdOf(cookie: string): Promise<string | undefined>;
  end(cookie: string): Promise<void>;
}

export function createAdminSessions({ redis, keys }: Pick<QueueDoor, 'redis' | 'keys'>): AdminSessions {
  const keyOf = (cookie: string): string => keys.admin(createHash('sha256').update(cookie).digest('hex'));
  return {
    async begin(tokenId) {
      const cookie = randomBytes(32).toString('base64url');
      await orUnavailable(redis.set(keyOf(cookie), tokenId, 'PX', SESSION_MS));
      return cookie;
    },
    tokenIdOf: async (cookie) => (await orUnavailable(redis.get(keyOf(cookie)))) ?? undefined,
    async end(cookie) {
      await orUnavailable(redis.del(keyOf(cookie)));
    },
  };
}
