import type { Request, RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';

/** The name in the Host header, without its port and without the brackets of an IPv6 address. */
const hostOf = (req: Request): string =>
  (req.get('host') ?? '')
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1');

const probes = new Set(['/livez', '/readyz']);

/** What a platform asks by an address that only it knows. They tell whether the edge is up, and nothing else. */
export const isProbe = ({ path }: Pick<Request, 'path'>): boolean => probes.has(path);

/**
 * An edge that listens on a loopback address answers to loopback names only: otherwise any web page could
 * reach it under a name of its own that points here (DNS rebinding). One that listens elsewhere does the same as
 * soon as the operator has named the names, but for probes. Two Host headers are refused everywhere.
 */
export function checkHost(options: { host: string; allowedHosts: readonly string[] }): RequestHandler {
  const allowed = new Set(options.allowedHosts.map((name) => name.toLowerCase()));
  const onLoopback = isLoopback(options.host);
  const guarded = onLoopback || allowed.size > 0;
  return (req, _res, next) => {
    needOneHost(req);
    const host = guarded ? hostOf(req) : '';
    const probed = !onLoopback && isProbe(req);
    if (guarded && !probed && !isLoopback(host) && !allowed.has(host))
      throw new McpctlError('host_not_allowed');
    next();
  };
}

/** Whoever is in front may have believed another one of two than we do. */
function needOneHost({ rawHeaders }: Request): void {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1)
    throw new McpctlError('invalid_request', 'The request has more than one Host header; send one.');
}
