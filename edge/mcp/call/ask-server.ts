import type { Actor } from '../../../core/access.ts';
import { askQuietly } from '../../inference/ask-quietly.ts';
import type { EdgeDeps } from '../../deps.ts';
import { orderOfCall, requestOfCall, type AskedOfServer } from './order.ts';

/**
 * What a server answers to something that only reads, for this edge itself; a task of who asks.
 * @returns null where it did not come in time. @throws McpctlError why there is none.
 */
export async function askServer(
  deps: EdgeDeps,
  actor: Actor,
  { withinMs, left, ...at }: AskedOfServer & { withinMs: number; left: AbortSignal },
): Promise<string | null> {
  const order = await orderOfCall(deps, at, {
    request: requestOfCall(at),
    policy: { onDisconnect: 'cancel', graceSeconds: null },
    retention: 'keep',
    key: null,
  });
  return await askQuietly(deps, actor, { order, withinMs, left });
}
