import type { Request } from 'express';
import { McpctlError } from '../core/errors.ts';
import type { EventMap } from '../core/events.ts';
import type { Bus } from '../core/runtime/bus.ts';
import { actorOf } from './context.ts';

type Written = EventMap['registry.written'];

/** Runs a write and tells of it, done or refused (SPEC §9: every write emits one event). */
export async function written<T>(
  { bus, req }: { bus: Bus; req: Request },
  what: Pick<Written, 'verb' | 'resource' | 'name'>,
  work: () => Promise<T>,
): Promise<T> {
  const actor = actorOf(req);
  const tell = (outcome: Written['outcome']): void =>
    bus.emit('registry.written', {
      ...what,
      actor: actor.userName,
      tokenName: actor.tokenName,
      reqId: req.context.requestId,
      outcome,
    });
  try {
    const result = await work();
    tell('ok');
    return result;
  } catch (thrown) {
    tell(thrown instanceof McpctlError ? thrown.code : 'internal');
    throw thrown;
  }
}
