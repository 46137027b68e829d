import { createHash } from 'node:crypto';
import { McpctlError } from '../../../core/errors.ts';
import { mcpAnswerSchema, readResourceSchema } from '../../../core/mcp/call.ts';
import type { ResourceAt } from '../../../core/queue/live/mcp/subscriptions.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { actorOf } from '../../http/context.ts';
import { whenLeft } from '../../http/gone.ts';
import type { EdgeDeps } from '../../deps.ts';
import { enterInTurn } from '../../limits/turns.ts';
import type { Asked, Session } from '../asked.ts';
import { askServer } from '../call/ask-server.ts';
import { failureOf } from '../call/call-form.ts';
import { RESOURCE_MISSING } from '../legs/leg.ts';
import { serverOfUri } from '../offers.ts';
import { isPageUri } from '../own/read-page.ts';
import { rpcErrors, type RpcFault } from '../rpc.ts';
import { serversFor, viewerOf } from '../tools.ts';

/** A server that sleeps is begun for it. */
const WITHIN_MS = 60_000;

/** What a session's subscriptions are kept under: its id itself is what its client shows that it is it. */
export const streamOf = ({ id }: Pick<Session, 'id'>): string =>
  createHash('sha256').update(id).digest('base64url').slice(0, 22);

type Subscribing = Pick<Asked, 'req' | 'res' | 'project'>;

/** What came of it; a fault is the server's own, or that there is no such resource. */
type Came = { at: ResourceAt } | { fault: RpcFault };

/**
 * A stream hears of a resource from now on, once its server has said that it tells of it.
 * @throws McpctlError `too_many_requests`, `mcp_server_down`, `unavailable`, what `enterInTurn` does, and what a task may come to.
 */
export async function subscribeTo(
  deps: EdgeDeps,
  { req, res, project }: Subscribing,
  { streamId, uri }: { streamId: string; uri: string },
): Promise<Came> {
  const viewer = viewerOf({ req, project });
  const server = isPageUri(project, uri)
    ? undefined
    : await serverOfUri(deps, { viewer, servers: serversFor(viewer) }, uri);
  if (!server) return { fault: { code: RESOURCE_MISSING, message: 'Resource not found', data: { uri } } };
  const leave = await enterInTurn(deps.gates.mcpCalls, req, viewer.actor.tokenId);
  const actor = actorOf(req);
  const at = { server: server.server, uri };
  const one = { userId: actor.userId, streamId, ...at };
  let isTold = false;
  try {
    // Before its server is asked: what its worker hears of who wants to know must not be of before.
    await deps.queue.subscriptions.keep(one);
    const call = { method: 'resources/subscribe', params: { uri } } as const;
    const how = { withinMs: WITHIN_MS, left: whenLeft(res) };
    const body = await askServer(deps, actor, { server, call, ...how });
    const answer = mcpAnswerSchema.safeParse(jsonValue(body ?? ''));
    if (!answer.success)
      throw new McpctlError(
        'mcp_server_down',
        `The MCP server '${at.server}' did not say in time whether it tells of that resource.`,
      );
    if ('error' in answer.data) return { fault: answer.data.error };
    isTold = true;
    return { at };
  } finally {
    leave();
    // It lapses where Redis is away.
    if (!isTold) await deps.queue.subscriptions.drop(one).catch(() => undefined);
  }
}

const NO_SESSION =
  'A subscription is of a session: call initialize, send its Mcp-Session-Id, and open its stream by GET.';

/** Of a session: what changes comes over its stream, whichever edge has it. */
export async function subscribe(deps: EdgeDeps, asked: Asked): Promise<void> {
  const { res, leg, id, session } = asked;
  const parsed = readResourceSchema.safeParse(asked.params);
  if (!parsed.success || !session) return refuse(asked, parsed.success ? NO_SESSION : NO_URI);
  try {
    const came = await subscribeTo(deps, asked, { streamId: streamOf(session), uri: parsed.data.uri });
    res.json('fault' in came ? leg.error(id, came.fault) : leg.result(id, {}, 'other'));
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || isForItsClient(thrown)) throw thrown;
    asked.notes.failed(thrown.code);
    res.json(failureOf({ leg, id, of: 'other' }, thrown));
  }
}

const NO_URI = 'A resource is named by its uri.';
const forClients = new Set([
  'unauthenticated',
  'forbidden',
  'too_many_requests',
  'queue_full',
  'unavailable',
]);
const isForItsClient = ({ code }: McpctlError): boolean => forClients.has(code);

export async function unsubscribe(deps: EdgeDeps, asked: Asked): Promise<void> {
  const { res, leg, id, session } = asked;
  const parsed = readResourceSchema.safeParse(asked.params);
  if (!parsed.success || !session) return refuse(asked, parsed.success ? NO_SESSION : NO_URI);
  await unsubscribeFrom(deps, { ...asked, session }, parsed.data.uri);
  res.json(leg.result(id, {}, 'other'));
}

/**
 * A session hears no more of a resource; without one, of none. Its worker learns of that when what was said of it last has lapsed: others
 * may hear of the same. @throws McpctlError `unavailable`.
 */
export async function unsubscribeFrom(
  { queue: { subscriptions } }: EdgeDeps,
  { req, session }: Pick<Asked, 'req'> & { session: Session },
  uri?: string,
): Promise<void> {
  const whose = { userId: actorOf(req).userId, streamId: streamOf(session) };
  const all = await subscriptions.of(whose);
  const ended = uri === undefined ? all : all.filter((at) => at.uri === uri);
  await Promise.all(ended.map((at) => subscriptions.drop({ ...whose, ...at })));
}

function refuse({ res, leg, id }: Asked, message: string): void {
  res.json(leg.error(id, { code: rpcErrors.invalidParams, message }));
}
