import type { Request } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { EventMap } from '../../core/task/events.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { EdgeDeps } from '../deps.ts';
import type { Gates } from '../limits/gates.ts';
import { inItsTurn } from '../limits/turns.ts';
import { actorOf } from './context.ts';

type Written = EventMap['registry.written'];

interface WriteDeps<T> {
  bus: Bus;
  gates: Pick<Gates, 'writes'>;
  req: Request;
  detailOf?: (result: T) => Pick<Written, 'changed'>;
  /** Whether it is told of at all, once it is done: where nothing was written it is not. */
  isTold?: (result: T) => boolean;
}

/** Tells of a write, done or refused (docs/spec.md §9: every write emits one event). */
export function tellWritten(
  { bus, req }: Pick<WriteDeps<unknown>, 'bus' | 'req'>,
  write: Omit<Written, 'actor' | 'tokenName' | 'reqId'>,
): void {
  const { userName: actor, tokenName } = actorOf(req);
  bus.emit('registry.written', { ...write, actor, tokenName, reqId: req.context.requestId });
}

interface One {
  resource: string;
  name: string;
  outcome: string;
  changed: readonly string[];
}

const verbs: Readonly<Partial<Record<string, Written['verb']>>> = {
  created: 'create',
  changed: 'edit',
  pruned: 'delete',
  deleted: 'delete',
};

/** Whether anything was written of what was to be. */
export const isWritten = ({ outcome }: Pick<One, 'outcome'>): boolean => verbs[outcome] !== undefined;

/**
 * Tells of each of many that were written together, as if it had been made alone: who listens for one of a resource hears it
 * (edge/believed/identity-watch.ts).
 */
export function tellEach(deps: Pick<WriteDeps<unknown>, 'bus' | 'req'>, all: readonly One[]): void {
  for (const { resource, name, outcome, changed } of all) {
    const verb = verbs[outcome];
    if (verb) tellWritten(deps, { verb, resource, name, changed, outcome: 'ok' });
  }
}

/** Whom a pool among these no more lets in is out for now. */
export async function putOutOfPools(
  { putOut }: Pick<EdgeDeps, 'putOut'>,
  all: readonly One[],
): Promise<void> {
  if (all.some((one) => one.resource === 'pool' && isWritten(one))) await putOut.unentitled();
}

/**
 * Runs a write when it is its user's turn, and tells of it, done or refused.
 * @param detailOf what is told of it besides, once it is done. @throws McpctlError `too_many_requests`, and what `work` does.
 */
export async function written<T>(
  { bus, gates, req, detailOf, isTold }: WriteDeps<T>,
  what: Pick<Written, 'verb' | 'resource' | 'name'>,
  work: () => Promise<T>,
): Promise<T> {
  const { verb, resource } = what;
  req.context.write = { verb, resource };
  const tell = (outcome: Written['outcome'], more: Pick<Written, 'changed'> = {}): void =>
    tellWritten({ bus, req }, { ...what, ...more, outcome });
  try {
    const result = await inItsTurn(gates.writes, req, work);
    if (isTold?.(result) ?? true) tell('ok', detailOf?.(result));
    return result;
  } catch (thrown) {
    tell(thrown instanceof McpctlError ? thrown.code : 'internal');
    throw thrown;
  }
}
