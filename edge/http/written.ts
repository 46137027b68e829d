import type { Request } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { EventMap } from '../../core/task/events.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { actorOf } from './context.ts';

type Written = EventMap['registry.written'];

/**
 * Runs a write and tells of it, done or refused (SPEC §9: every write emits one event).
 * @param told what is told of it besides, once it is done.
 */
export async function written<T>(
  { bus, req, told }: { bus: Bus; req: Request; told?: (result: T) => Pick<Written, 'changed'> },
  what: Pick<Written, 'verb' | 'resource' | 'name'>,
  work: () => Promise<T>,
): Promise<T> {
  const actor = actorOf(req);
  const tell = (outcome: Written['outcome'], more: Pick<Written, 'changed'> = {}): void =>
    bus.emit('registry.written', {
      ...what,
      ...more,
      actor: actor.userName,
      tokenName: actor.tokenName,
      reqId: req.context.requestId,
      outcome,
    });
  try {
    const result = await work();
    tell('ok', told?.(result));
    return result;
  } catch (thrown) {
    tell(thrown instanceof McpctlError ? thrown.code : 'internal');
    throw thrown;
  }
}
