import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Express } from 'express';
import { McpctlError } from '../core/errors.ts';
import { openQueueDoor, type OpenedDoor, type QueueDoor } from '../core/queue/door.ts';
import { connect, type Connection } from '../core/registry/database/connect.ts';
import { isCurrent } from '../core/registry/database/migrate.ts';
import { createRegistry } from '../core/registry/registry.ts';
import type { Kept } from '../core/registry/resources/stores.ts';
import { stored } from '../core/resources/index.ts';
import { createBus } from '../core/runtime/bus.ts';
import { systemClock } from '../core/runtime/clock.ts';
import { createCollector } from '../core/runtime/collect.ts';
import { openKeyring } from '../core/runtime/keyring/open-keyring.ts';
import type { Log } from '../core/runtime/log.ts';
import { ownPackage } from '../core/runtime/files/own-package.ts';
import { composeServices, type Service } from '../core/runtime/process/service.ts';
import { troubleSentence } from '../core/trouble.ts';
import type { FlowDeps } from '../core/flow/deps.ts';
import { createAuthority } from './believed/authority.ts';
import { createIdentityWatch } from './believed/identity-watch.ts';
import { createPutOut } from './put-out.ts';
import { createBodyReads } from './audit/body-reads.ts';
import { createDeniedCounts } from './audit/denied-counts.ts';
import { createAuthenticator } from './believed/authenticator.ts';
import { createTokenUses } from './believed/token-uses.ts';
import { createCaps } from './limits/caps.ts';
import type { EdgeDeps } from './deps.ts';
import { createFormForAll } from './believed/form-for-all.ts';
import { createGates } from './limits/gates.ts';
import { createHeartbeats } from './relay/heartbeats.ts';
import { createSessionSpeakers } from './believed/session-speakers.ts';
import { createLiveness } from '../core/flow/alive/liveness.ts';
import { countPools } from './shown/pool-counts.ts';
import { createMetrics } from './metrics/metrics.ts';
import { createKnownPools } from './believed/known-pools.ts';
import { createEdgeBeat } from './live/beat.ts';
import { createChecks } from './live/checks.ts';
import { createRecentEnds } from './live/lately.ts';
import { createLive } from './live/live.ts';
import { createOverview } from './live/overview.ts';
import { createSharedAnswers } from './live/shared.ts';
import { createCapture } from './mcp/traffic/capture.ts';
import { createPoolLooks } from './believed/pool-looks.ts';
import { createRedisWorkers } from './redis-users.ts';
import { overlays } from './resources/overlays.ts';
import { createRates } from './limits/rates.ts';
import { Relay } from './relay/relay.ts';
import { createEdgeServer, type EdgeServer } from './http/server.ts';
import { createUndecided } from './believed/undecided.ts';
import { createLeftTurns } from './limits/left-turns.ts';
import { createTurnLine } from './inference/turn/line.ts';
import { createWaiters } from './waiting/waiters.ts';
import { Wakings } from './waiting/wakings.ts';

interface Composed {
  deps: EdgeDeps;
  server: EdgeServer;
  /** Starts and stops everything, in order. */
  services: Service;
  /** Nothing new is taken from now on. */
  stop: () => void;
}

/** Builds an edge, or a part of one: everything that its routes are given, and the server. Starts nothing. */
export function composeEdge({
  config,
  log,
  makeApp,
}: {
  config: EdgeDeps['config'];
  log: Log;
  makeApp: (deps: EdgeDeps) => Express;
}): Composed {
  const stopping = new AbortController();
  const leaving = new AbortController();
  const signals = { stopping: stopping.signal, leaving: leaving.signal };
  const { version, dependencies } = ownPackage();
  const connection = connect({ ...config, poolSize: config.databasePool, log });
  const { deps, services } = wireEdge(
    { config, log, connection, version, bullmqVersion: dependencies['bullmq'] ?? '', ofProcess: true },
    signals,
  );
  const postgres = { name: 'postgres', stop: () => connection.close() };
  const server = createEdgeServer({
    app: makeApp(deps),
    ...config,
    limits: config,
    metrics: deps.metrics,
    leaving,
  });
  return {
    deps,
    server,
    services: composeServices([postgres, ...services, server], log),
    stop: () => stopping.abort(),
  };
}

const ofThisRelease = { definitions: stored, overlays };

interface Wired extends Pick<EdgeDeps, 'config' | 'log' | 'version' | 'bullmqVersion'> {
  connection: Connection;
  /** Metrics tell of Node itself too. */
  ofProcess: boolean;
  /** Those of this release, unless told. */
  resources?: EdgeDeps['resources'] & Partial<Pick<Kept, 'hooks'>>;
}

/**
 * What routes are given, over a connection to Postgres that is the caller's, and the services behind it in the order in
 * which they are started.
 * @internal tests build their edges with it too
 */
export function wireEdge(
  { config, log, connection, version, bullmqVersion, ofProcess, resources = ofThisRelease }: Wired,
  signals: Pick<EdgeDeps, 'stopping' | 'leaving'>,
): { deps: EdgeDeps & { queue: OpenedDoor }; services: Service[] } {
  // Each call that is under way listens.
  setMaxListeners(0, signals.stopping, signals.leaving);
  const [clock, bus, self] = [systemClock, createBus(log), selfOf(version, systemClock.now())];
  const { keyring, registry } = createStored({ config, connection, resources, clock, log });
  const queue = openQueueDoor({ ...config, clock, log });
  const { presence } = queue;
  const speakers = createSessionSpeakers({ registry, clock });
  const heartbeats = createHeartbeats({ registry, presence, queue, speakers, bus, clock, log });
  const flow = { registry, dispatch: queue.dispatch, bus, by: 'edge' } as const;
  const waiters = createWaiters({ queue, flow, log });
  const wakings = new Wakings({ queue, clock, log });
  const liveness = createLiveness({ registry, presence, leaseMs: config.leaseMs });
  const rights = createRights({ config, registry, queue, flow, clock, log });
  const { authority } = rights;
  const ofRelay = { authority, config, registry, queue, presence, heartbeats, flow, bus, clock, log };
  const relay = new Relay({ ...ofRelay, stopping: signals.stopping });
  const metrics = createMetrics({
    bus,
    version,
    commit: config.commit,
    ofProcess,
    fleet: { registry, queue, clock, log },
    open: { answers: () => limits.caps.openStreams(), workers: () => relay.size },
  });
  const limits = createLimits({ config, registry, queue, self, metrics, clock, log, ofProcess });
  const deps: EdgeDeps & { queue: OpenedDoor } = {
    config,
    version,
    bullmqVersion,
    clock,
    log,
    bus,
    registry,
    keyring,
    resources,
    queue,
    presence,
    liveness,
    heartbeats,
    speakers,
    relay,
    ...rights,
    ...{ formForAll: createFormForAll({ ...registry, clock, log }), waiters },
    ...{ undecided: createUndecided({ flow, clock, log }), leftTurns: createLeftTurns() },
    wakings,
    knownPools: createKnownPools({ ...registry, liveness, bus, clock, keptMs: config.poolCacheMs }),
    ...limits,
    metrics,
    ...{ checks: createChecks(checksOf(connection, queue), clock), self },
    ...signals,
    ...createLooks({ registry, queue, liveness, clock, log }),
    capture: createCapture({ queue, clock, log }),
  };
  return { deps, services: [queue, ...servicesOf(deps)] };
}

/** In the order in which they are started. */
const servicesOf = (deps: EdgeDeps): Service[] => [
  deps.denied,
  deps.bodyReads,
  deps.formForAll,
  deps.redisWorkers,
  deps.authority,
  deps.tokenUses,
  createIdentityWatch(deps),
  deps.heartbeats,
  deps.waiters,
  deps.undecided,
  deps.wakings,
  createTurnLine(deps),
  deps.capture,
  deps.live,
  deps.relay,
  createEdgeBeat(deps),
];

/** What is in Postgres, and the keys that what is secret there is sealed with. */
function createStored({
  config,
  connection,
  resources = ofThisRelease,
  clock,
  log,
}: Pick<Wired, 'config' | 'connection' | 'resources' | 'log'> & Pick<EdgeDeps, 'clock'>): Pick<
  EdgeDeps,
  'keyring' | 'registry'
> {
  const keyring = openKeyring(config, { clock, log });
  return { keyring, registry: createRegistry(connection, config, { ...resources, keyring }) };
}

/** How pools, tasks and all of it are now. */
function createLooks(
  deps: Pick<EdgeDeps, 'registry' | 'queue' | 'liveness' | 'clock' | 'log'>,
): Pick<EdgeDeps, 'poolCounts' | 'lookAtPool' | 'live' | 'recentEnds' | 'overview' | 'sharedAnswers'> {
  const poolCounts: EdgeDeps['poolCounts'] = (keys) => countPools(deps, keys);
  const live = createLive(deps);
  const recentEnds = createRecentEnds({ ...deps, live });
  return {
    ...{ poolCounts, live, recentEnds },
    lookAtPool: createPoolLooks(deps),
    overview: createOverview({ ...deps, poolCounts, live, recentEnds }),
    sharedAnswers: createSharedAnswers(deps.clock),
  };
}

interface OfLimits extends Pick<
  EdgeDeps,
  'config' | 'registry' | 'queue' | 'self' | 'metrics' | 'clock' | 'log'
> {
  ofProcess: boolean;
}

/** How much one may have here, how fast, and what is done a few at a time. */
function createLimits({
  ofProcess,
  queue,
  self,
  ...deps
}: OfLimits): Pick<EdgeDeps, 'caps' | 'rates' | 'gates' | 'denied' | 'bodyReads'> {
  const shared = { shares: queue.shares, edge: self.id, clock: deps.clock, log: deps.log };
  return {
    denied: createDeniedCounts(deps),
    bodyReads: createBodyReads(deps),
    caps: createCaps({ ...deps, shared, returned: ofProcess ? createCollector() : undefined }),
    rates: createRates(deps),
    gates: createGates(deps.metrics, deps.config, shared),
  };
}

interface OfRights extends Pick<EdgeDeps, 'config' | 'registry' | 'clock' | 'log'> {
  queue: QueueDoor;
  flow: FlowDeps;
}

/** Who may do what here, how long, and what becomes of it when they may no more. */
function createRights({
  config,
  registry,
  queue,
  flow,
  clock,
  log,
}: OfRights): Pick<EdgeDeps, 'authenticator' | 'authority' | 'tokenUses' | 'redisWorkers' | 'putOut'> {
  const { denials, adminSessions, groups, tokens } = registry;
  const { maxFailedTokens, tokenCacheMs: cacheMs } = config;
  const redisWorkers = createRedisWorkers({ config, registry, queue, log });
  const endRedisUser = (sessionId: string): Promise<void> => redisWorkers.end(sessionId);
  return {
    authenticator: createAuthenticator({ tokens, clock, cacheMs, maxFailedTokens }),
    authority: createAuthority({ denials, adminSessions, groups, tokens, log }),
    tokenUses: createTokenUses({ tokens, clock, log }),
    redisWorkers,
    putOut: createPutOut({ denials, flow, queue, presence: queue.presence, endRedisUser, log }),
  };
}

const selfOf = (version: string, startedAt: number): EdgeDeps['self'] => ({
  id: randomUUID().slice(0, 8),
  version,
  startedAt,
});

const checksOf = (connection: Connection, queue: QueueDoor): EdgeDeps['checks']['each'] => [
  { name: 'postgres', run: () => needCurrent(connection) },
  { name: 'redis', run: () => queue.server.write() },
];

/** What it was refused in the last seconds counts too: a full disk lets reads through. */
async function needCurrent(connection: Connection): Promise<void> {
  const current = await isCurrent(connection);
  const trouble = connection.trouble();
  if (trouble !== null) throw new McpctlError('unavailable', troubleSentence('Postgres', trouble));
  if (current) return;
  throw new McpctlError('unavailable', 'Migrations are missing; run: node dist/scheduler/main.js release');
}
