import { randomUUID } from 'node:crypto';
import { Router, type Request } from 'express';
import type { z } from 'zod';
import { can, reachOf, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { leaveSession, registerSession } from '../../core/flow/session.ts';
import { poolKeyOf } from '../../core/names.ts';
import {
  heartbeatSchema,
  PROTOCOL,
  registerSchema,
  sessionBodySchema,
  type AgentOffer,
  type RegisterBody,
  type Registered,
  type Transport,
} from '../../core/member/protocol.ts';
import { orderAnswerSchema } from '../../core/mcp/process/orders.ts';
import { resourceNewsSchema, type wantedResourcesSchema } from '../../core/mcp/offers.ts';
import { toolsReportSchema } from '../../core/mcp/tools.ts';
import type { AgentsOffered, PublishedAgent } from '../../core/registry/agents/publish.ts';
import { joinerOf, type Joiner } from '../../core/registry/names/joiner.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { tokenOf } from '../middleware/authenticate.ts';
import { inItsTurn } from '../limits/turns.ts';
import { bodyOf } from '../http/parse.ts';
import { passwordOf } from '../redis-users.ts';
import { instanceUnsaid, speaksFor } from '../believed/session-speakers.ts';
import { maySpeakFor, needSession, speakerOf } from '../session-of.ts';
import { agentStates } from '../shown/agent-overlay.ts';
import { llmView } from '../shown/llm-view.ts';
import { written } from '../http/written.ts';

/**
 * How the worker will take its tasks: from Redis itself, where it can, may, is of our release and goes there as the user
 * that we make for it; else through an edge. What is said here of Redis holds only where the registry agrees.
 */
function kindFor({ redisWorkers, bullmqVersion }: EdgeDeps, body: RegisterBody): Transport['kind'] {
  const offers = new Set(body.transports);
  const wantsRedis = offers.has('redis') && redisWorkers.mayBeOffered();
  const isOurs = body.bullmqVersion === undefined || body.bullmqVersion === bullmqVersion;
  // It names its BullMQ, as those do that have a REDIS_URL, and would go there with all the rights of that.
  const isOlder = body.bullmqVersion !== undefined && body.redisUser !== true;
  if (wantsRedis && isOurs && !isOlder) return 'redis';
  if (offers.has('sse')) return 'sse';
  throw new McpctlError('transport_unavailable', wantsRedis ? whyNoRedis(isOurs, bullmqVersion) : undefined);
}

const whyNoRedis = (isOurs: boolean, bullmqVersion: string): string =>
  isOurs
    ? 'This worker knows no Redis user of its own, as this edge gives one to each; update mcplocal.'
    : `This edge works with bullmq ${bullmqVersion}; update mcplocal, so that both are of one release.`;

type Offer = RegisterBody['providers'][number];

function checkMay(actor: Actor, body: RegisterBody): void {
  const may = (as: Actor, offer: Offer): boolean =>
    can(as, 'create', { resource: 'session', target: { poolKey: poolKeyOf(offer) } });
  const outside = body.providers.find((offer) => !may(actor, offer));
  if (outside) throw whyNot(actor, outside, may);
}

function whyNot(actor: Actor, offer: Offer, may: (as: Actor, offer: Offer) => boolean): McpctlError {
  const forbidden = (why: string): McpctlError => new McpctlError('forbidden', why);
  if (!may({ ...actor, filter: null, pools: null }, offer))
    return forbidden('You may not publish here: create:session is not among what you are granted.');
  if (!may({ ...actor, pools: null }, offer))
    return forbidden(
      `Your token '${actor.tokenName}' is not for publishing: make one with mcpctl token create NAME --preset publish.`,
    );
  const outside = `Your token may not publish '${offer.name}': it is not bound to the pool '${poolKeyOf(offer)}'.`;
  if (actor.filter?.words.preset !== 'publish') return forbidden(outside);
  // A worker's: it was let into some pools, and this is none of them.
  return new McpctlError(
    'pool_not_yours',
    `${outside} It may in ${(actor.pools ?? []).join(', ')}: set that as "poolName", or ask for another join code.`,
  );
}

/**
 * A copied session file: another process holds this session and is connected right now. One that was killed
 * still has its lease, but listens no longer: it is taken over. @returns who holds the session by now.
 */
async function checkInstance(
  { presence, registry }: EdgeDeps,
  { sessionId, boot, actor }: { sessionId: string; boot: string; actor: Actor },
): Promise<string | null> {
  const session = await registry.sessions.byId(sessionId);
  if (!session) return null;
  if (session.ownerId !== actor.userId) throw new McpctlError('session_not_found');
  await needSession({ registry }, actor, sessionId);
  const holder = (await presence.sessions([sessionId])).live.get(sessionId);
  if (!holder || holder.boot === boot) return holder?.boot ?? null;
  if (await presence.isConnected(sessionId, holder)) throw new McpctlError('session_in_use');
  return holder.boot;
}

type NeedMay = AgentsOffered['needMay'];

/**
 * As for llms: who may publish, publishes agents, within the pools of their token. An llm of another registration must be
 * one that its user may run; whoever calls the agent is asked the same.
 * @throws McpctlError `forbidden`
 */
function needMayPublish(actor: Actor, { name }: AgentOffer, llm: Parameters<NeedMay>[1]): void {
  const target = { name, ownerId: actor.userId, poolKey: llm.poolKey };
  if (!can(actor, 'create', { resource: 'agent', target }))
    throw new McpctlError(
      'forbidden',
      `Your token may not publish the agent '${name}' over the pool '${llm.poolKey}'.`,
    );
  const runs = { ...actor, filter: null };
  if (!llm.isOfSession && reachOf(runs, { poolKey: llm.poolKey, llm: llm.name }) === null)
    throw new McpctlError(
      'forbidden',
      `You may not run '${llm.name}', which the agent '${name}' is pinned to.`,
    );
}

/** As they stand; a caller that cannot be told just now reads them later. */
async function agentsShown(
  deps: EdgeDeps,
  agents: readonly PublishedAgent[],
  { agents: offers }: RegisterBody,
): Promise<object[]> {
  const asked = agents.map((agent, at) => ({ ...agent, llm: offers[at]?.llm ?? '' }));
  const states = agents.length === 0 ? [] : await agentStates(deps, asked);
  return asked.map(({ id, name, llm }, at) => ({ id, name, llm, ...states[at] }));
}

/** Overrules only who would for each name of the registration. */
function publisherOf(actor: Actor, { providers, agents }: RegisterBody): Joiner {
  const keys = [...providers.map(poolKeyOf), ...(agents.length === 0 ? [] : [null])];
  const overrules = keys.every((key) => joinerOf(actor, key).overrules);
  return { ...joinerOf(actor, null), overrules };
}

async function register(deps: EdgeDeps, req: Request): Promise<Registered> {
  const actor = actorOf(req);
  const body = bodyOf(req, registerSchema);
  if (body.protocol !== PROTOCOL) throw new McpctlError('protocol_unsupported');
  const kind = kindFor(deps, body);
  checkMay(actor, body);
  const sessionId = body.providerSessionId ?? randomUUID();
  // A worker too old to send one is the same process as long as its session is the same.
  const boot = body.instanceId ?? sessionId;
  const heldBy = await checkInstance(deps, { sessionId, boot, actor });
  const { password, redisHash } = passwordOf(tokenOf(req) ?? '', sessionId);
  const registration = {
    sessionId,
    boot,
    heldBy,
    workerVersion: body.workerVersion ?? null,
    host: body.host ?? null,
    saysInstance: body.instanceId !== undefined && body.saysInstance === true,
    transport: kind,
    redisHash,
    knowsSse: body.transports.includes('sse'),
    by: publisherOf(actor, body),
    providers: body.providers,
    agents: {
      offers: body.agents,
      needMay: (...asked: Parameters<NeedMay>) => needMayPublish(actor, ...asked),
    },
  };
  const what = { verb: 'create', resource: 'session', name: sessionId } as const;
  const {
    llms,
    agents,
    transport: agreed,
    hold,
  } = await registerSession(deps, registration, (write) => written({ ...deps, req }, what, write));
  const transport: Transport =
    agreed === 'redis' ? await deps.redisWorkers.transportOf({ sessionId, password }) : { kind: 'sse' };
  const drains = agreed === 'redis' ? await deps.registry.llms.formerOf(sessionId) : [];
  const live = await deps.liveness.llms(llms);
  return {
    providerSessionId: sessionId,
    llms: live.map((llm) => ({ ...llmView(llm, true), poolKey: llm.row.poolKey })),
    agents: await agentsShown(deps, agents, body),
    warnings: [],
    transport,
    hold,
    owner: actor.userId,
    ...(drains.length > 0 && { drains: drains.map(({ id, name, poolKey }) => ({ id, name, poolKey })) }),
  };
}

async function goodbye(deps: EdgeDeps, req: Request): Promise<void> {
  const leaving = bodyOf(req, sessionBodySchema);
  const id = leaving.providerSessionId;
  const session = await deps.registry.sessions.byId(id);
  // Idempotent, and the same for a stranger's session, or one that another process has taken over since: there is
  // nothing of the caller's to leave.
  const actor = actorOf(req);
  if (session?.ownerId !== actor.userId || !(await maySpeakFor(deps, actor, id))) return;
  const speaker = speakerOf(req, leaving.instanceId);
  if (session.saysInstance && speaker.instance === undefined) throw instanceUnsaid();
  if (!speaksFor(session, id, speaker)) return;
  const what = { verb: 'delete', resource: 'session', name: id } as const;
  await leaveSession(deps, session, {
    author: actor,
    telling: (write) => written({ ...deps, req }, what, write),
    endRedisUser: (sessionId) => deps.redisWorkers.end(sessionId),
  });
}

/** All tools of one server, each with a schema as large as it may be, come to more: such a one is refused. */
const MOST_TOOLS_MIB = 4;

/** Of a server of that session: what has changed is told to who hears of it, at all edges. @throws McpctlError `session_not_found`. */
async function tellResources(
  { registry, queue }: EdgeDeps,
  ownerId: string,
  { providerSessionId, server, updated }: z.infer<typeof resourceNewsSchema>,
): Promise<z.infer<typeof wantedResourcesSchema>> {
  if (!(await registry.mcp.isPublished({ ownerId, providerSessionId, server })))
    throw new McpctlError('session_not_found');
  return { wanted: await queue.resourceNews.tell(server, updated) };
}

/** The worker's wire protocol over HTTP, but for what carries tasks: docs/spec.md §3. */
export function providerRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/llms/_provider-register', async (req, res) => {
    res.status(201).json(await inItsTurn(deps.gates.registers, req, () => register(deps, req)));
  });
  router.post('/llms/_provider-heartbeat', async (req, res) => {
    const heartbeat = bodyOf(req, heartbeatSchema);
    await needSession(deps, actorOf(req), heartbeat.providerSessionId);
    await deps.heartbeats.beat(heartbeat, speakerOf(req, heartbeat.instanceId));
    res.json({ ok: true });
  });
  router.post('/llms/_provider-tools', async (req, res) => {
    const report = bodyOf(req, toolsReportSchema, { mostMiB: MOST_TOOLS_MIB });
    await needSession(deps, actorOf(req), report.providerSessionId);
    await deps.registry.mcp.report(actorOf(req).userId, report);
    res.json({ ok: true });
  });
  router.post('/llms/_provider-resources', async (req, res) => {
    const news = bodyOf(req, resourceNewsSchema);
    await needSession(deps, actorOf(req), news.providerSessionId);
    res.json(await tellResources(deps, actorOf(req).userId, news));
  });
  router.post('/llms/_provider-said', async (req, res) => {
    const { says, orderId, ...of } = bodyOf(req, orderAnswerSchema);
    await needSession(deps, actorOf(req), of.providerSessionId);
    if (!(await deps.registry.mcp.isPublished({ ownerId: actorOf(req).userId, ...of })))
      throw new McpctlError('session_not_found');
    await deps.queue.orderAnswers.say({ server: of.server, orderId }, says);
    res.json({ ok: true });
  });
  router.post('/llms/_provider-goodbye', async (req, res) => {
    await goodbye(deps, req);
    res.json({ ok: true });
  });
  return router;
}
