import type { CookieOptions, Request, Response } from 'express';
import type { Actor } from '../../core/access.ts';
import {
  SESSION_MS,
  createAdminSessions,
  sessionCookie,
  sessionCookies,
  type AdminSessions,
} from '../admin/sessions.ts';
import { withOrigin } from '../audit/origin.ts';
import { addressKey } from '../connections/address.ts';
import type { EdgeDeps } from '../deps.ts';

/** `__Secure-` is believed by browsers behind TLS alone; `__Host-` would want the path `/`, and with it every call of programs. */
const names = ['__Secure-mcpctl_ui', 'mcpctl_ui'] as const;
const nameOf = (req: Request): (typeof names)[number] => (req.secure ? names[0] : names[1]);
/** The board's own, so that its pages are open to who is signed in here. */
const BOARD = 'mcpctl_admin';

/** Who a browser is: a cookie of `/ui` alone, so that no call of programs ever carries one. */
export interface WebSessions {
  /** @throws McpctlError `unauthenticated` where there are two. */
  of(req: Request): string | undefined;
  browserOf(cookie: string): string;
  /** @throws McpctlError `too_many_requests` where their address has guessed too many. */
  actorOf(cookie: string, req: Request): Promise<Actor | undefined>;
  /** In the place of what this browser was signed in with before. */
  begin(req: Request, res: Response, author: Actor): Promise<void>;
  end(req: Request, res: Response): Promise<void>;
  link: AdminSessions['link'];
  /** Who made the link. @throws as `actorOf`. */
  redeem(code: string, req: Request): Promise<Actor | undefined>;
}

export function createWebSessions({
  registry,
  authenticator,
  authority,
}: Pick<EdgeDeps, 'registry' | 'authenticator' | 'authority'>): WebSessions {
  const sessions = createAdminSessions(registry.adminSessions);
  const actorOfToken = (tokenId: string | undefined): Promise<Actor | undefined> =>
    tokenId === undefined ? Promise.resolve(undefined) : registry.tokens.actorOfId(tokenId);
  const look = async (cookie: string): Promise<Actor | undefined> =>
    await actorOfToken(await sessions.tokenIdOf(cookie));
  const set = (res: Response, name: string, options: CookieOptions & { value: string }): void => {
    const { value, ...how } = options;
    res.cookie(name, value, { httpOnly: true, sameSite: 'lax', maxAge: SESSION_MS, ...how });
  };
  const leave = async (req: Request): Promise<void> => {
    for (const cookie of sessionCookies(req, nameOf(req))) {
      const actor = await look(cookie);
      await sessions.end(cookie, actor && withOrigin(req, actor, undefined));
    }
    authenticator.forget();
    await authority.ask();
  };
  return {
    of: (req) => sessionCookie(req, nameOf(req)),
    browserOf: (cookie) => sessions.storedAs(cookie),
    actorOf: (cookie, req) =>
      authenticator.believe({ text: cookie, address: addressKey(req.ip), look: () => look(cookie) }),
    async begin(req, res, author) {
      const value = await sessions.begin(author);
      await leave(req);
      set(res, nameOf(req), { value, path: '/ui', secure: req.secure });
      set(res, BOARD, { value, path: '/admin', secure: req.secure });
    },
    async end(req, res) {
      await leave(req);
      const how = { httpOnly: true, sameSite: 'lax', secure: req.secure } as const;
      res.clearCookie(nameOf(req), { ...how, path: '/ui' });
      res.clearCookie(BOARD, { ...how, path: '/admin' });
    },
    link: (tokenId) => sessions.link(tokenId),
    redeem: (code, req) =>
      authenticator.askAnew({
        text: `once ${code}`,
        address: addressKey(req.ip),
        look: async () => await actorOfToken(await sessions.redeem(code)),
      }),
  };
}
