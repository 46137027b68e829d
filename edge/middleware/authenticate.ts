import type { Request, RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { Authenticator } from '../authenticator.ts';

/** `Authorization: Bearer` and `x-api-key` are one door (SPEC §9). */
function tokenOf(req: Request): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(req.get('authorization') ?? '')?.[1];
  return bearer ?? req.get('x-api-key')?.trim();
}

/** The one place where a request gets its actor, or is refused. */
export function authenticate({ authenticator }: { authenticator: Authenticator }): RequestHandler {
  return async (req, res, next) => {
    const token = tokenOf(req);
    const actor = token ? await authenticator.actorOf(token) : undefined;
    if (!actor) {
      res.set('www-authenticate', 'Bearer realm="mcpctl"');
      throw new McpctlError('unauthenticated');
    }
    req.context.actor = actor;
    next();
  };
}

/** For public paths that tell more to those who are known: a missing or wrong token is no fault here. */
export function recognise({ authenticator }: { authenticator: Authenticator }): RequestHandler {
  return async (req, _res, next) => {
    const token = tokenOf(req);
    if (token) req.context.actor = await authenticator.actorOf(token).catch(() => undefined);
    next();
  };
}
