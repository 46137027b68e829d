import type { Request, RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';

const loopback = new Set(['localhost', '127.0.0.1', '[::1]', '::1']);

const hostOf = (req: Request): string => (req.get('host') ?? '').toLowerCase().replace(/:\d+$/, '');

/**
 * An edge that listens on a loopback address answers to loopback names only: otherwise any web page could
 * reach it under a name of its own that points here (DNS rebinding).
 */
export function checkHost(options: { host: string; allowedHosts: readonly string[] }): RequestHandler {
  const allowed = new Set([...loopback, ...options.allowedHosts.map((name) => name.toLowerCase())]);
  const guarded = loopback.has(options.host);
  return (req, _res, next) => {
    if (guarded && !allowed.has(hostOf(req))) throw new McpctlError('host_not_allowed');
    next();
  };
}
