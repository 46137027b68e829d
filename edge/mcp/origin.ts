import type { RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';

/**
 * A page may speak here only if its origin is one that the operator has named, or where page and edge are both of this
 * machine: the protocol asks for that of every server, whatever the browser does about the answer.
 */
export function checkOrigin({
  host,
  corsOrigins,
}: {
  host: string;
  corsOrigins: readonly string[];
}): RequestHandler {
  const anyone = corsOrigins.includes('*');
  return (req, _res, next) => {
    const origin = req.get('origin');
    if (origin === undefined || anyone || corsOrigins.includes(origin)) return next();
    if (!isLoopback(host) || !isLoopback(nameOf(origin))) throw new McpctlError('origin_not_allowed');
    next();
  };
}

function nameOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname.replace(/^\[(.*)\]$/, '$1') : '';
}
