import type { Response } from 'express';
import type { EdgeDeps } from '../../deps.ts';
import type { KeepAlive } from '../ask/headers.ts';

/**
 * Line feeds before a JSON text, so that nobody on the way takes the connection for dead. They cost the answer its
 * status, which a failure after them tells in its body. So none within the time for a real status, and none but at `/v1`.
 */
export function keepWhole(
  deps: Pick<EdgeDeps, 'clock' | 'config'>,
  { res, v1, keepAlive }: { res: Response; v1: boolean; keepAlive: KeepAlive },
): void {
  const waitedMs = deps.clock.elapsed() - res.req.context.startedAt;
  if (!v1 || keepAlive === 'off' || waitedMs < deps.config.admissionMs) return;
  if (!res.headersSent)
    res.status(200).type('application/json').set('cache-control', 'no-cache, no-transform');
  res.req.context.onlyBlanks = true;
  res.write('\n');
}
