import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { can, type Actor } from '../../core/access.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { LISTENING_MS } from '../../core/queue/live/mcp/listeners.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { untilOver, whenLeft } from '../http/gone.ts';
import { EventWriter } from '../http/sse.ts';
import { deliveryOf } from '../http/delivered.ts';
import { untilClosed } from '../limits/caps.ts';
import type { Asked } from './asked.ts';
import { listKinds, MOST_OF_USER, type ListChanges, type ListKind } from './changes.ts';
import { rpcErrors } from './rpc.ts';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

type Listening = Pick<Asked, 'req' | 'res' | 'project'>;

interface Stream {
  /** What is said first; none: the stream is open all the same. */
  first: object | null;
  kinds: readonly ListKind[];
  /** Beside each notification. */
  params: object | null;
  /** What ends it, where that is not its client. */
  last: object | null;
  /** Its lists are other ones for who was told the project's prompts. */
  dependsOnToken: boolean;
}

const notification = (method: string, params: object | null): object => ({
  jsonrpc: '2.0',
  method,
  ...(params && { params }),
});

/** The stream of a client that has called `initialize`: what changes, until it or this edge leaves. */
export const streamChanges = (deps: EdgeDeps, changes: ListChanges, at: Listening): Promise<void> =>
  listen(deps, changes, {
    ...at,
    ...{ first: null, kinds: listKinds, params: null, last: null },
    dependsOnToken: true,
  });

const filterSchema = z.looseObject({
  notifications: z.looseObject({
    toolsListChanged: z.boolean().optional(),
    promptsListChanged: z.boolean().optional(),
    resourcesListChanged: z.boolean().optional(),
  }),
});

/** The same where each request stands alone: what it asks for is said back first, as far as it is told of, and nothing else comes. */
export async function listenFor(deps: EdgeDeps, changes: ListChanges, asked: Asked): Promise<void> {
  const { res, leg, id } = asked;
  const parsed = filterSchema.safeParse(asked.params);
  if (!parsed.success) {
    const message = 'A subscription says in params.notifications what it wants to hear of.';
    return void res.status(400).json(leg.error(id, { code: rpcErrors.invalidParams, message }));
  }
  const { notifications: wanted } = parsed.data;
  const kinds = listKinds.filter((kind) => wanted[`${kind}ListChanged`] === true);
  const notifications = Object.fromEntries(kinds.map((kind) => [`${kind}ListChanged`, true]));
  const _meta = { [SUBSCRIPTION]: id };
  await listen(deps, changes, {
    ...asked,
    first: notification('notifications/subscriptions/acknowledged', { notifications, _meta }),
    kinds,
    params: { _meta },
    last: leg.result(id, { _meta }, 'other'),
    dependsOnToken: false,
  });
}

/** Twice may fail before it counts no more. */
const RENEW_MS = LISTENING_MS / 3;

/**
 * Counts a stream among those that its user has at all edges. While Redis is away each edge counts its own alone.
 * @returns the way out. @throws McpctlError `too_many_requests`.
 */
async function enterAll(
  { queue: { listeners }, log }: Pick<EdgeDeps, 'queue' | 'log'>,
  { userId }: Actor,
): Promise<() => void> {
  const one = { userId, streamId: randomUUID() };
  const orNothing = (thrown: unknown): true => {
    log.debug({ why: messageOf(thrown) }, 'who listens is counted at this edge alone: Redis is away');
    return true;
  };
  if (!(await listeners.enter(one, MOST_OF_USER).catch(orNothing)))
    throw new McpctlError(
      'too_many_requests',
      `${String(MOST_OF_USER)} of yours listen for changes already, the most that may at all edges together.`,
    );
  const renewing = setInterval(() => void listeners.renew(one).catch(orNothing), RENEW_MS).unref();
  return () => {
    clearInterval(renewing);
    void listeners.leave(one).catch(orNothing);
  };
}

/** They may see the project still. */
const whyNotIn =
  (project: McpProject) =>
  (now: Actor): McpctlError | undefined =>
    can(now, 'view', { resource: 'project', target: project })
      ? undefined
      : new McpctlError('project_not_found');

async function listen(
  deps: EdgeDeps,
  changes: ListChanges,
  { req, res, project, first, kinds, params, last, dependsOnToken }: Listening & Stream,
): Promise<void> {
  const actor = actorOf(req);
  const leaveAll = await enterAll(deps, actor);
  // From here on it is given back whatever becomes of it: a response that is closed ends it.
  untilClosed(res, leaveAll);
  untilClosed(res, deps.caps.hold(actor, { bytes: 0, streaming: true }));
  const over = new AbortController();
  const left = whenLeft(res);
  const changed = new Set<ListKind>();
  let wake: () => void = () => undefined;
  const end = (): void => {
    over.abort();
    wake();
  };
  const leave = await changes.watch({
    userId: actor.userId,
    tokenId: dependsOnToken ? actor.tokenId : null,
    projectId: project.id,
    tell: (lists) => {
      for (const kind of lists) if (kinds.includes(kind)) changed.add(kind);
      wake();
    },
    gone: end,
  });
  const release = untilOver(deps, { res, whyNot: whyNotIn(project), end });
  const ping = setInterval(() => wake(), deps.config.keepAliveMs).unref();
  const writer = new EventWriter(res, deliveryOf(deps));
  try {
    if (first) await writer.write({ data: JSON.stringify(first) });
    else await writer.comment('listening');
    while (!over.signal.aborted) {
      if (changed.size === 0) await new Promise<void>((resolve) => (wake = resolve));
      const methods = [...changed].map((kind) => `notifications/${kind}/list_changed`);
      changed.clear();
      if (methods.length === 0 && !over.signal.aborted) await writer.comment('listening');
      for (const method of methods)
        await writer.write({ data: JSON.stringify(notification(method, params)) });
    }
    if (last && !left.aborted) await writer.write({ data: JSON.stringify(last) });
    writer.end();
  } finally {
    clearInterval(ping);
    release();
    leave();
  }
}
