import { redisPlaceNames } from '../core/queue/link/where.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { KeyringSource } from '../core/runtime/keyring/keyring.ts';
import type { Log } from '../core/runtime/log.ts';
import type { SettingName, Settings } from '../core/runtime/settings/settings.ts';
import type { FlowDeps } from '../core/flow/deps.ts';
import type { Presence } from '../core/member/presence.ts';
import type { SeenEdge } from '../core/queue/edges.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import { registryLimitNames } from '../core/registry/names/limits.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Definition } from '../core/resources/define.ts';
import type { Overlay } from './resources/overlay.ts';
import type { BodyReads } from './audit/body-reads.ts';
import type { DeniedCounts } from './audit/denied-counts.ts';
import type { Authenticator } from './believed/authenticator.ts';
import type { Caps } from './limits/caps.ts';
import type { FormForAll } from './believed/form-for-all.ts';
import type { Gates } from './limits/gates.ts';
import type { Heartbeats } from './relay/heartbeats.ts';
import type { SessionSpeakers } from './believed/session-speakers.ts';
import type { Liveness } from '../core/flow/alive/liveness.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { RedisWorkers } from './redis-users.ts';
import type { Relay } from './relay/relay.ts';
import type { KnownPools } from './believed/known-pools.ts';
import type { Checks } from './live/checks.ts';
import type { RecentEnds } from './live/lately.ts';
import type { Live } from './live/live.ts';
import type { Overview } from './live/overview.ts';
import type { SharedAnswers } from './live/shared.ts';
import type { Capture } from './mcp/traffic/capture.ts';
import type { LookAtPool } from './believed/pool-looks.ts';
import type { Undecided } from './believed/undecided.ts';
import type { LeftTurns } from './limits/left-turns.ts';
import type { PoolCounts } from './shown/pool-counts.ts';
import type { PutOut } from './put-out.ts';
import type { Authority } from './believed/authority.ts';
import type { TokenUses } from './believed/token-uses.ts';
import type { Waiters } from './waiting/waiters.ts';
import type { Rates } from './limits/rates.ts';
import type { Wakings } from './waiting/wakings.ts';

/** Everything that the edge reads from its environment. */
export const edgeSettings = [
  'databaseUrl',
  ...redisPlaceNames,
  'schema',
  'databasePool',
  'databaseSslMode',
  'databaseCa',
  'logLevel',
  'commit',
  'graceMs',
  'port',
  'host',
  'allowedHosts',
  'corsOrigins',
  'trustProxy',
  'bodyLimitBytes',
  'maxUserTasks',
  'maxPoolTasks',
  ...registryLimitNames,
  'maxUserStreams',
  'maxPoolQueuedBytes',
  'maxQueuedBytes',
  'maxUserBytes',
  'maxConnections',
  'maxAddressConnections',
  'maxConnectionRequests',
  'maxRequests',
  'maxUserRequests',
  'maxTokenRequests',
  'maxUserRequestRate',
  'maxUserCallRate',
  'maxAddressRequestRate',
  'maxBytes',
  'maxFailedTokens',
  'admissionMs',
  'keepAliveMs',
  'sseKeepAlive',
  'stalledReaderMs',
  'queueSyncMs',
  'queueAsyncMs',
  'runMs',
  'firstEventMs',
  'settleWaitMs',
  'eventKeepMs',
  'idempotencyMs',
  'briefingMs',
  'tokenCacheMs',
  'poolCacheMs',
  'redisWorkers',
  'eventBytes',
  'secretsKeysFile',
  'secretsKey',
  'secretsReveal',
] as const satisfies readonly SettingName[];
type EdgeConfig = Settings<(typeof edgeSettings)[number]>;

/** What every route is given; made once, in main.ts (and by tests). */
export interface EdgeDeps {
  config: EdgeConfig;
  version: string;
  /** Workers with another one must not share our queues. */
  bullmqVersion: string;
  clock: Clock;
  log: Log;
  bus: Bus;
  registry: Registry;
  /** What secrets are sealed with, and opened. */
  keyring: KeyringSource;
  /** Of the generic routes: which resources they serve, and what is laid over their rows. */
  resources: { definitions: readonly Definition[]; overlays: Readonly<Record<string, Overlay>> };
  queue: QueueDoor;
  presence: Presence;
  liveness: Liveness;
  heartbeats: Heartbeats;
  speakers: SessionSpeakers;
  relay: Relay;
  redisWorkers: RedisWorkers;
  authenticator: Authenticator;
  authority: Authority;
  tokenUses: TokenUses;
  formForAll: FormForAll;
  putOut: PutOut;
  waiters: Waiters;
  undecided: Undecided;
  leftTurns: LeftTurns;
  wakings: Wakings;
  /** For callers who wait: shared, and a moment old. */
  lookAtPool: LookAtPool;
  knownPools: KnownPools;
  /** What is asked of projects, for who watches one. */
  capture: Capture;
  /** What changed, for pages that are open. */
  live: Live;
  /** What ended in the last minutes: shared, and a moment old. */
  recentEnds: RecentEnds;
  /** How it goes: shared, and a moment old. */
  overview: Overview;
  /** For pages that look again at once. */
  sharedAnswers: SharedAnswers;
  /** Refusals, for the audit. */
  denied: DeniedCounts;
  /** Who reads what others asked and were answered, for the audit. */
  bodyReads: BodyReads;
  caps: Caps;
  rates: Rates;
  gates: Gates;
  metrics: Metrics;
  checks: Checks;
  /** This edge among others. */
  self: SeenEdge;
  /** Aborted by SIGTERM: not ready any more, and nothing new is taken. */
  stopping: AbortSignal;
  /** Aborted when the grace is nearly over: a stream that is still open ends now, and says why. */
  leaving: AbortSignal;
  poolCounts(poolKeys: readonly string[]): Promise<ReadonlyMap<string, PoolCounts>>;
}

/** What the shared steps over Postgres and Redis need of us. */
export function flowOf({ registry, queue, bus }: EdgeDeps): FlowDeps {
  return { registry, dispatch: queue.dispatch, bus, by: 'edge' };
}
