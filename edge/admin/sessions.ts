import { createHash, randomBytes } from 'node:crypto';
import type { AdminSessions as Stored } from '../../core/registry/people/admin-sessions.ts';

/** A working day; then the token is asked for again. */
export const SESSION_MS = 8 * 3_600_000;

/**
 * Browser sessions of the admin pages: a navigation carries no Bearer token, so that a cookie stands for one. Kept in
 * Postgres, so that any edge knows them and nobody who writes to Redis can make one up. The cookie is 256 random bits
 * and needs no signature, hence no secret that edges would have to share; only its hash is stored.
 */
export interface AdminSessions {
  /** @returns the cookie's value. */
  begin(tokenId: string): Promise<string>;
  /** The token that a cookie stands for; undefined when it is none of ours, or over. */
  tokenIdOf(cookie: string): Promise<string | undefined>;
  end(cookie: string): Promise<void>;
}

export function createAdminSessions(stored: Stored): AdminSessions {
  const hashOf = (cookie: string): string => createHash('sha256').update(cookie).digest('hex');
  return {
    async begin(tokenId) {
      const cookie = randomBytes(32).toString('base64url');
      await stored.begin({ hash: hashOf(cookie), tokenId, lifeMs: SESSION_MS });
      return cookie;
    },
    tokenIdOf: (cookie) => stored.tokenIdOf(hashOf(cookie)),
    end: (cookie) => stored.end(hashOf(cookie)),
  };
}
