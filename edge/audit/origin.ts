import type { Request } from 'express';
import type { Actor } from '../../core/access.ts';
import { tellableRequestId } from '../../core/audit/event.ts';

/** The actor of one request: with where that came from. @param secret the token that was shown with it. */
export function withOrigin(req: Request, actor: Actor, secret: string | undefined): Actor {
  const requestId = tellableRequestId(req.context.requestId, secret);
  return { ...actor, origin: { requestId, ip: req.ip ?? null } };
}
