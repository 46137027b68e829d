import { createHash, randomBytes } from 'node:crypto';
import type { Request } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { Author } from '../../core/audit/event.ts';
import type { AdminSessions as Stored } from '../../core/registry/people/admin-sessions.ts';

/** A working day; then the token is asked for again. */
export const SESSION_MS = 8 * 3_600_000;

/** A link that `npm start` shows is followed at once, or made anew. */
const LINK_MS = 120_000;

/** A browser has one of a name; what else it sends was set by others. */
const MOST_COOKIES = 4;

/** What a browser sends under the name of a session's cookie. */
export function sessionCookies(req: Request, name: string): ReadonlySet<string> {
  const named = new RegExp(`(?:^|;\\s*)${name}=([A-Za-z0-9_-]{43})(?=;|$)`, 'g');
  const sent = (req.get('cookie') ?? '').matchAll(named);
  return new Set([...sent].slice(0, MOST_COOKIES).map(([, value = '']) => value));
}

/**
 * A session's cookie among those that a browser sends. Of two, one was set by another site of this host or domain: whose page is
 * shown would be that site's choice.
 * @throws McpctlError `unauthenticated` where there are two.
 */
export function sessionCookie(req: Request, name: string): string | undefined {
  const [value, another] = sessionCookies(req, name);
  if (another === undefined) return value;
  throw new McpctlError(
    'unauthenticated',
    `Your browser sends two cookies named ${name}, and one of them was set by another site: delete the cookies of this host and its domain, and sign in again.`,
  );
}

/**
 * Browser sessions of the page and the admin pages: a navigation carries no Bearer token, so that a cookie stands for one. Kept in
 * Postgres, so that any edge knows them and nobody who writes to Redis can make one up. The cookie is 256 random bits
 * and needs no signature, hence no secret that edges would have to share; only its hash is stored.
 */
export interface AdminSessions {
  /** @returns the cookie's value. */
  begin(author: Author): Promise<string>;
  /** The token that a cookie stands for; undefined when it is none of ours, or over. */
  tokenIdOf(cookie: string): Promise<string | undefined>;
  /** As it is stored. */
  storedAs(cookie: string): string;
  end(cookie: string, author: Author | undefined): Promise<void>;
  /** A code that begins one session of this token, once and soon. */
  link(tokenId: string): Promise<string>;
  /** The token of a code, to who brings it first. */
  redeem(code: string): Promise<string | undefined>;
}

export function createAdminSessions(stored: Stored): AdminSessions {
  const hashOf = (cookie: string): string => createHash('sha256').update(cookie).digest('hex');
  /** A code is no cookie, whoever brings it as one. */
  const hashOfCode = (code: string): string => hashOf(`once ${code}`);
  return {
    async begin(author) {
      const cookie = randomBytes(32).toString('base64url');
      const { tokenId } = author;
      await stored.begin({ hash: hashOf(cookie), tokenId, lifeMs: SESSION_MS, author });
      return cookie;
    },
    storedAs: hashOf,
    tokenIdOf: (cookie) => stored.tokenIdOf(hashOf(cookie)),
    end: (cookie, author) => stored.end(hashOf(cookie), author),
    async link(tokenId) {
      const code = randomBytes(32).toString('base64url');
      await stored.begin({ hash: hashOfCode(code), tokenId, lifeMs: LINK_MS });
      return code;
    },
    redeem: (code) => stored.take(hashOfCode(code)),
  };
}
