import { randomUUID } from 'node:crypto';
import { Router, type Request } from 'express';
import { can, type Actor } from '../../core/access.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import type { LlmRow } from '../../core/llm.ts';
import { poolKeyOf } from '../../core/names.ts';
import {
  heartbeatSchema,
  PROTOCOL,
  registerSchema,
  sessionBodySchema,
  type RegisterBody,
  type Registered,
  type Transport,
} from '../../core/member/protocol.ts';
import { backendStateOf } from '../../core/member/member-state.ts';
import { sendControl } from '../../core/queue/live/control.ts';
import type { Published } from '../../core/registry/people/register.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { tokenOf } from '../middleware/authenticate.ts';
import { whenLeft } from '../http/gone.ts';
import { bodyOf } from '../http/parse.ts';
import { passwordOf } from '../redis-users.ts';
import { instanceUnsaid, speaksFor } from '../believed/session-speakers.ts';
import { maySpeakFor, needSession, speakerOf } from '../session-of.ts';
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

function checkMay(actor: Actor, body: RegisterBody): void {
  const outside = body.providers.find(
    (offer) => !can(actor, 'create', { resource: 'session', target: { poolKey: poolKeyOf(offer) } }),
  );
  if (outside) {
    throw new McpctlError(
      'forbidden',
      `Your token may not publish '${outside.name}': it is not bound to the pool '${poolKeyOf(outside)}'.`,
    );
  }
}

/**
 * A copied session file: another process holds this session and is connected right now. One that was killed
 * still has its lease, but listens no longer: it is taken over.
 */
async function checkInstance(
  { presence, registry }: EdgeDeps,
  { sessionId, boot, actor }: { sessionId: string; boot: string; actor: Actor },
): Promise<void> {
  const session = await registry.sessions.byId(sessionId);
  if (!session) return;
  if (session.ownerId !== actor.userId) throw new McpctlError('session_not_found');
  await needSession({ registry }, actor, sessionId);
  const holder = (await presence.sessions([sessionId])).live.get(sessionId);
  if (!holder || holder.boot === boot) return;
  if (await presence.isConnected(sessionId, holder)) throw new McpctlError('session_in_use');
}

async function publish(
  deps: EdgeDeps,
  actor: Actor,
  {
    body,
    sessionId,
    boot,
    kind,
    redisHash,
  }: { body: RegisterBody; sessionId: string; boot: string; kind: Transport['kind']; redisHash: string },
): Promise<Published> {
  const { registry, liveness } = deps;
  const keys = body.providers.map(poolKeyOf);
  const rows = await registry.llms.byNames(body.providers.map((offer) => offer.name));
  const foreign = rows.flatMap(({ providerSessionId: id }) => (id === null || id === sessionId ? [] : [id]));
  return registry.sessions.register({
    sessionId,
    instanceId: boot,
    workerVersion: body.workerVersion ?? null,
    saysInstance: body.instanceId !== undefined && body.saysInstance === true,
    transport: kind,
    redisHash,
    knowsSse: body.transports.includes('sse'),
    by: {
      userId: actor.userId,
      tokenId: actor.tokenId,
      overrules: keys.every((poolKey) => can(actor, 'edit', { resource: 'pool', target: { poolKey } })),
      pools: actor.pools,
    },
    providers: body.providers,
    isLive: await liveness.sessions([...new Set(foreign)]),
    onAccepted: () => deps.presence.hold(sessionId, boot),
  });
}

const introduction = (row: LlmRow) => ({
  llmId: row.id,
  poolKey: row.poolKey,
  slots: row.maxConcurrency ?? 1,
  state: backendStateOf(row.status),
});

async function register(deps: EdgeDeps, req: Request): Promise<Registered> {
  const actor = actorOf(req);
  const body = bodyOf(req, registerSchema);
  if (body.protocol !== PROTOCOL) throw new McpctlError('protocol_unsupported');
  const kind = kindFor(deps, body);
  checkMay(actor, body);
  const sessionId = body.providerSessionId ?? randomUUID();
  // A worker too old to send one is the same process as long as its session is the same.
  const boot = body.instanceId ?? sessionId;
  await checkInstance(deps, { sessionId, boot, actor });
  const { password, redisHash } = passwordOf(tokenOf(req) ?? '', sessionId);
  const { llms, transport: agreed } = await written(
    { ...deps, req },
    { verb: 'create', resource: 'session', name: sessionId },
    () => publish(deps, actor, { body, sessionId, boot, kind, redisHash }),
  );
  await deps.presence.introduce({ sessionId, boot }, llms.map(introduction));
  const transport: Transport =
    agreed === 'redis' ? await deps.redisWorkers.transportOf({ sessionId, password }) : { kind: 'sse' };
  await tellRelay(deps, { session: sessionId, boot, kind: 'registered' });
  deps.bus.emit('session.registered', { sessionId, llms: llms.map((row) => row.name) });
  const live = await deps.liveness.llms(llms);
  return {
    providerSessionId: sessionId,
    llms: live.map((llm) => ({ ...llmView(llm, true), poolKey: llm.row.poolKey })),
    agents: [],
    warnings: body.agents?.length ? ['Virtual agents are not served yet; they were left out.'] : [],
    transport,
  };
}

/** Whoever holds the session's stream acts at once; a message that is lost shows in what the worker does next. */
async function tellRelay(
  { queue, log }: EdgeDeps,
  { session, boot, kind }: { session: string; boot: string; kind: 'registered' | 'left' },
): Promise<void> {
  try {
    await sendControl(queue, { session, boot, message: { kind } });
  } catch (thrown) {
    log.warn({ session, why: messageOf(thrown) }, 'the relay of a session could not be told');
  }
}

async function goodbye(deps: EdgeDeps, req: Request): Promise<void> {
  const said = bodyOf(req, sessionBodySchema);
  const id = said.providerSessionId;
  const session = await deps.registry.sessions.byId(id);
  // Idempotent, and the same for a stranger's session, or one that another process has taken over since: there is
  // nothing of the caller's to leave.
  const actor = actorOf(req);
  if (session?.ownerId !== actor.userId || !(await maySpeakFor(deps, actor, id))) return;
  const speaker = speakerOf(req, said.instanceId);
  if (session.saysInstance && speaker.instance === undefined) throw instanceUnsaid();
  if (!speaksFor(session, id, speaker)) return;
  const rows = await written({ ...deps, req }, { verb: 'delete', resource: 'session', name: id }, () =>
    deps.registry.sessions.leave(id),
  );
  await tellRelay(deps, { session: id, boot: session.instanceId ?? id, kind: 'left' });
  await deps.redisWorkers.end(id);
  await deps.presence.drop(id, [...new Set(rows.map((row) => row.poolKey))]);
  deps.bus.emit('session.left', { sessionId: id, why: 'goodbye' });
}

/** The worker's wire protocol over HTTP, but for what carries tasks: SPEC §3. */
export function providerRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/llms/_provider-register', async (req, res) => {
    const leave = await deps.gates.registers.enter(actorOf(req).userId, whenLeft(res));
    try {
      res.status(201).json(await register(deps, req));
    } finally {
      leave();
    }
  });
  router.post('/llms/_provider-heartbeat', async (req, res) => {
    const said = bodyOf(req, heartbeatSchema);
    await needSession(deps, actorOf(req), said.providerSessionId);
    await deps.heartbeats.beat(said, speakerOf(req, said.instanceId));
    res.json({ ok: true });
  });
  router.post('/llms/_provider-goodbye', async (req, res) => {
    await goodbye(deps, req);
    res.json({ ok: true });
  });
  return router;
}
