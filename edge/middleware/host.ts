import type { Request, RequestHandler } from 'express';
import ipaddr from 'ipaddr.js';
import { McpctlError } from '../../core/errors.ts';

/** The name in the Host header, without its port and without the brackets of an IPv6 address. */
const hostOf = (req: Request): string =>
  (req.get('host') ?? '')
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1');

/** Every address of this machine alone, and the one name that no DNS answers for. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');

/**
 * An edge that listens on a loopback address answers to loopback names only: otherwise any web page could
 * reach it under a name of its own that points here (DNS rebinding).
 */
export function checkHost(options: { host: string; allowedHosts: readonly string[] }): RequestHandler {
  const allowed = new Set(options.allowedHosts.map((name) => name.toLowerCase()));
  const guarded = isLoopback(options.host);
  return (req, _res, next) => {
    const host = guarded ? hostOf(req) : '';
    if (guarded && !isLoopback(host) && !allowed.has(host)) throw new McpctlError('host_not_allowed');
    next();
  };
}
