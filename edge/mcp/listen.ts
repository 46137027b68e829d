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
import { MOST_SUBSCRIBED } from '../../core/mcp/offers.ts';
import type { Response } from 'express';
import type { Asked, Session } from './asked.ts';
import { listKinds, MOST_OF_USER, type ListChanges, type ListKind } from './changes.ts';
import { rpcErrors } from './rpc.ts';
import { StreamResources } from './subscribe/stream-resources.ts';
import { streamOf, subscribeTo } from './subscribe/subscribe.ts';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

const UPDATED = 'notifications/resources/updated';

/** Wakes who waits; of a ring that nobody waited for they hear when they do. */
class Bell {
  #isRung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#isRung = true;
    this.#wake();
  }

  async rung(): Promise<void> {
    if (!this.#isRung) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#isRung = false;
  }
}

type Listening = Pick<Asked, 'req' | 'res' | 'project'>;

interface Stream {
  /** What its resources are kept under. */
  streamId: string;
  /** Resources that it is to hear of from its beginning on. */
  wants: readonly string[];
  /** What is said first, with those that it hears of; none: the stream is open all the same. */
  first: (resources: readonly string[]) => object | null;
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
export const streamChanges = (
  deps: EdgeDeps,
  changes: ListChanges,
  { session, ...at }: Listening & { session: Session },
): Promise<void> =>
  listen(deps, changes, {
    ...at,
    ...{ streamId: streamOf(session), wants: [], first: () => null },
    ...{ kinds: listKinds, params: null, last: null },
    dependsOnToken: true,
  });

const filterSchema = z.looseObject({
  notifications: z.looseObject({
    toolsListChanged: z.boolean().optional(),
    promptsListChanged: z.boolean().optional(),
    resourcesListChanged: z.boolean().optional(),
    resourceSubscriptions: z.array(z.string().min(1).max(1_024)).max(MOST_SUBSCRIBED.stream).optional(),
  }),
});

/** The same where each request stands alone: what it asks for is said back first, as far as it is told of, and nothing else comes. */
export async function listenFor(deps: EdgeDeps, changes: ListChanges, asked: Asked): Promise<void> {
  const { res, leg, id } = asked;
  const parsed = filterSchema.safeParse(asked.params);
  if (!parsed.success) {
    const message = `A subscription says in params.notifications what it wants to hear of, and names ${String(MOST_SUBSCRIBED.stream)} resources at most.`;
    return void res.status(400).json(leg.error(id, { code: rpcErrors.invalidParams, message }));
  }
  const { notifications: wanted } = parsed.data;
  const kinds = listKinds.filter((kind) => wanted[`${kind}ListChanged`] === true);
  const notifications = Object.fromEntries(kinds.map((kind) => [`${kind}ListChanged`, true]));
  const _meta = { [SUBSCRIPTION]: id };
  const acknowledged = (resourceSubscriptions: readonly string[]): object =>
    notification('notifications/subscriptions/acknowledged', {
      notifications: {
        ...notifications,
        ...(wanted.resourceSubscriptions && { resourceSubscriptions }),
      },
      _meta,
    });
  await listen(deps, changes, {
    ...asked,
    streamId: randomUUID(),
    wants: [...new Set(wanted.resourceSubscriptions)],
    first: acknowledged,
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
const whyNotIn = (project: McpProject, now: Actor): McpctlError | undefined =>
  can(now, 'view', { resource: 'project', target: project })
    ? undefined
    : new McpctlError('project_not_found');

/** A few at once: each may begin a server. */
const ASKED_AT_ONCE = 4;
/** What has not been asked for by then is not heard of. */
const ASKED_WITHIN_MS = 60_000;

/** Of those that are wanted the ones that it hears of: what cannot be read, or whose server tells of nothing, is not among them. */
async function subscribeAll(
  deps: EdgeDeps,
  at: Listening,
  { streamId, wants }: Pick<Stream, 'streamId' | 'wants'>,
): Promise<string[]> {
  const hears = new Set<string>();
  const asking = wants.values();
  const endAt = deps.clock.elapsed() + ASKED_WITHIN_MS;
  const one = async (): Promise<void> => {
    for (const uri of asking) {
      if (deps.clock.elapsed() > endAt) return;
      const came = await subscribeTo(deps, at, { streamId, uri }).catch((thrown: unknown) => {
        if (!(thrown instanceof McpctlError) || thrown.code === 'unavailable') throw thrown;
        return null;
      });
      if (came && 'at' in came) hears.add(uri);
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, one));
  return wants.filter((uri) => hears.has(uri));
}

async function listen(
  deps: EdgeDeps,
  changes: ListChanges,
  { streamId, wants, first, kinds, params, last, dependsOnToken, ...at }: Listening & Stream,
): Promise<void> {
  const { req, res, project } = at;
  let actor = actorOf(req);
  const leaveAll = await enterAll(deps, actor);
  const ends: (() => void)[] = [leaveAll];
  // From here on all is given back whatever becomes of it: a response that is closed ends it.
  untilClosed(res, () => ends.splice(0).forEach((giveBack) => giveBack()));
  const atEnd = (giveBack: () => void): void => void (res.destroyed ? giveBack() : ends.push(giveBack));
  atEnd(deps.caps.hold(actor, { bytes: 0, streaming: true }));
  const news: News = { over: new AbortController(), bell: new Bell(), changed: new Set(), isQuiet: false };
  const ping = setInterval(() => {
    news.isQuiet = true;
    news.bell.ring();
  }, deps.config.keepAliveMs).unref();
  atEnd(() => clearInterval(ping));
  const end = (): void => {
    news.over.abort();
    news.bell.ring();
  };
  const whyNot = (now: Actor): McpctlError | undefined => {
    actor = now;
    return whyNotIn(project, now);
  };
  atEnd(untilOver(deps, { res, whyNot, end }));
  // Before its resources are asked for, which may take as long as a server takes to begin: what changes meanwhile is told, too.
  const leave = await changes.watch({
    userId: actor.userId,
    tokenId: dependsOnToken ? actor.tokenId : null,
    projectId: project.id,
    tell: (lists) => {
      for (const kind of lists) if (kinds.includes(kind)) news.changed.add(kind);
      news.bell.ring();
    },
    gone: end,
  });
  atEnd(leave);
  const resources = new StreamResources(deps, {
    ...{ streamId, project, actor: () => actor },
    wake: () => news.bell.ring(),
  });
  atEnd(() => resources.close({ isForEver: last !== null }));
  await resources.begin();
  const hears = await subscribeAll(deps, at, { streamId, wants });
  await tell(deps, { news, res, resources, params, first: first(hears), last });
}

interface News {
  over: AbortController;
  bell: Bell;
  changed: Set<ListKind>;
  /** Nothing was told for long. */
  isQuiet: boolean;
}

interface Telling extends Pick<Stream, 'params' | 'last'> {
  news: News;
  res: Response;
  resources: StreamResources;
  first: object | null;
}

/** Writes what there is to tell, until it is over. */
async function tell(deps: EdgeDeps, { news, res, resources, params, first, last }: Telling): Promise<void> {
  const writer = new EventWriter(res, deliveryOf(deps));
  const write = (message: object): Promise<void> => writer.write({ data: JSON.stringify(message) });
  if (first) await write(first);
  else await writer.comment('listening');
  while (!news.over.signal.aborted) {
    await news.bell.rung();
    const methods = [...news.changed].map((kind) => `notifications/${kind}/list_changed`);
    news.changed.clear();
    const uris = await resources.take();
    if (news.over.signal.aborted) break;
    if (news.isQuiet && methods.length + uris.length === 0) await writer.comment('listening');
    news.isQuiet = false;
    for (const method of methods) await write(notification(method, params));
    for (const uri of uris) await write(notification(UPDATED, { uri, ...params }));
  }
  if (last && !whenLeft(res).aborted) await write(last);
  writer.end();
}
