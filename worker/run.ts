import { createBus, type Bus } from '../core/runtime/bus.ts';
import { systemClock, type Clock } from '../core/runtime/clock.ts';
import { readAndInspect } from '../core/runtime/settings/config.ts';
import { homeAt, type Home } from '../core/runtime/files/home.ts';
import { takeLock } from '../core/runtime/files/lock.mjs';
import { giveBackWhenIdle, letHeapGrow } from '../core/runtime/process/small-heap.ts';
import { outliveRejections } from '../core/runtime/process/last-resort.ts';
import { createLog, prettyOn, type Log } from '../core/runtime/log.ts';
import { withProxies } from '../core/runtime/settings/network.ts';
import { openNetwork, type Network } from '../core/runtime/network/network.ts';
import { refuseForeign } from '../core/runtime/files/private-file.mjs';
import type { Settings } from '../core/runtime/settings/settings.ts';
import type { Service } from '../core/runtime/process/service.ts';
import { untilSignal } from '../core/runtime/process/signals.ts';
import { openPublished, type Opened } from './backends/open-providers.ts';
import { GroupGuard } from './children/guard.ts';
import { startPublished, type PublishedDeps, type PublishedWorker } from './published-worker.ts';
import { type ConfiguredProvider, readWorkerConfig } from './sources/config.ts';
import type { McpServerEntry } from './sources/config-schema.ts';
import { readCredentials, readOwnCredentials } from './sources/credentials.ts';
import { sourceOf } from './sources/source.ts';
import { McpctlError, messageOf } from '../core/errors.ts';
import { createHealthPort, type HealthPort } from '../core/runtime/process/health-port.ts';
const settingNames = [
  'optionalRedisUrl',
  'redisTlsVerify',
  'redisCa',
  'redisNodes',
  'redisSentinels',
  'redisSentinelName',
  'namespace',
  'home',
  'logLevel',
  'commit',
  'healthPort',
  'healthHost',
  'graceMs',
  'leaseMs',
  'heartbeatMs',
  'eventBytes',
  'eventKeepMs',
  'httpProxy',
  'httpsProxy',
  'noProxy',
  'caFile',
  'nodeCaFile',
  'workerSource',
  'optionalDatabaseUrl',
  'databaseSslMode',
  'databaseCa',
  'schema',
  'hostedAllow',
  'hostedKeys',
  'secretsKeysFile',
  'secretsKey',
  'hostedRedisPassword',
] as const;
type Config = Settings<(typeof settingNames)[number]>;

/** What each of these takes, which an installation may be without. */
const takes = {
  REDIS_URL:
    'the packages bullmq and ioredis, which are not here. Install mcplocal from npm with its optional packages, or unset REDIS_URL: through the edge it needs neither.',
  'WORKER_SOURCE=registry':
    'the packages knex and pg, which are not here. A hosted worker is part of mcpd: run it as mcpd-worker.',
} as const;

/** @throws McpctlError `invalid_config` where this installation is without what the setting takes. */
async function installed<T>(setting: keyof typeof takes, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_MODULE_NOT_FOUND'))
      throw thrown;
    throw new McpctlError('invalid_config', `${setting} takes ${takes[setting]}`);
  }
}

/**
 * The worker's composition root: reads the environment and the home, publishes, serves until a signal. The ways to Redis
 * and Postgres are loaded where the environment names one: a person's machine mostly has neither, and they are half of
 * what a worker holds. Nothing is loaded later than here, as an update may have put other files in their place by then.
 */
export async function run(environment: NodeJS.ProcessEnv, leave: (code: number) => never): Promise<void> {
  const config = await readAndInspect(withProxies(environment), settingNames, [
    async (settings) => {
      const { optionalRedisUrl: redisUrl } = settings;
      if (redisUrl === undefined) return { faults: [] };
      const { inspectRedis } = await installed('REDIS_URL', () => import('../core/queue/link/inspect.ts'));
      const userComesLater = sourceOf(settings) === 'config' || settings.hostedRedisPassword !== undefined;
      return await inspectRedis({ ...settings, redisUrl, userComesLater });
    },
    async (settings) => {
      if (sourceOf(settings) !== 'registry') return { faults: [] };
      const { inspectHosted } = await installed('WORKER_SOURCE=registry', () => import('./hosted/hosted.ts'));
      return await inspectHosted(settings);
    },
  ]);
  const log = createLog({
    process: 'worker',
    level: config.logLevel,
    pretty: await prettyOn(process.stdout),
  });
  outliveRejections(log, leave);
  const signalled = untilSignal(() => leave(1));
  const bus = createBus(log);
  const clock = systemClock;
  const notAgain = bus.on('service.ready', () => {
    notAgain();
    setImmediate(letHeapGrow);
    const going = giveBackWhenIdle();
    going();
    bus.on('claim.started', going);
    bus.on('claim.finished', going);
  });
  const source = sourceOf(config);
  log.info({ source }, source === 'config' ? "serves this machine's llms" : 'serves the public llms');
  const health = await openHealth(config, { bus, clock });
  await health?.start?.();
  if (health) log.info({ port: health.port() }, 'the health port listens');
  const published = source === 'config' ? await servePublished({ config, log, bus, environment }) : null;
  const hosted =
    source === 'registry'
      ? (await import('./hosted/hosted.ts')).startHosted({ config, env: environment, bus, clock, log })
      : null;
  const worker = published?.worker ?? hosted;
  if (!worker) log.info('nothing to publish; waiting for a signal');
  const drained = published?.worker?.drained.then(() => 'drained' as const) ?? signalled;
  const why = await Promise.race([signalled, drained]);
  bus.emit('service.stopping', { service: 'worker', signal: why });
  await published?.loopback?.stop();
  await worker?.stop();
  await health?.stop();
  published?.release();
  leave(0);
}

/**
 * What config.json of this machine publishes, served, and the loopback URL that it asks for. Null is each that it does not name,
 * and both without credentials. @throws McpctlError `already_running`.
 */
async function servePublished({
  config,
  log,
  bus,
  environment,
}: {
  config: Config;
  log: Log;
  bus: Bus;
  environment: NodeJS.ProcessEnv;
}): Promise<{ worker: PublishedWorker | null; loopback: Service | null; release: () => void }> {
  const home = homeAt(config.home);
  refuseForeign(home.root); // config.json may name commands to run
  const { published, mcpServers, listen, agents, warnings } = await readWorkerConfig(home.config, home.root);
  const { credentials, warnings: more } = await readOwnCredentials(home);
  for (const warning of [...warnings, ...more]) log.warn(warning);
  const clock = systemClock;
  const network = openNetwork(config);
  const isIdle = !credentials || published.length + mcpServers.length + agents.length === 0;
  const release = isIdle && listen === null ? () => undefined : takeHome(home, log);
  const loopback = listen === null ? null : await openLoopback(listen, { home, network, log });
  if (isIdle) return { worker: null, loopback, release };
  const guard = new GroupGuard();
  const shared = { home, log, bus, environment, guard };
  const mcp = mcpServers.length === 0 ? null : await openMcp(mcpServers, shared);
  const llms = openPublished(published, { bus, clock });
  if (published.some(({ managed, sleep }) => managed ?? sleep)) await keep(published, llms, shared);
  const watchOwner = await ownerWatchOf(published, llms, shared);
  const opened = [...llms, ...(mcp?.servers.opened ?? [])];
  const paths = { sessionFilePath: home.session, socketPath: home.socket };
  const RedisTransport =
    config.optionalRedisUrl === undefined ? null : (await import('./transports/redis.ts')).RedisTransport;
  const here = { network, environment, guard, watchOwner, RedisTransport };
  const parts = { config, credentials, opened, agents, mcp, ...here };
  return { worker: startPublished({ ...parts, ...paths, bus, clock, log }), loopback, release };
}

/**
 * A home is one worker's: two would take its session from each other by turns, and start the same backends. Where nothing can
 * be written, one serves all the same. @throws McpctlError `already_running`.
 */
function takeHome({ root, workerLock }: Home, log: Log): () => void {
  let lock: ReturnType<typeof takeLock>;
  try {
    lock = takeLock(workerLock);
  } catch (thrown) {
    log.warn({ why: messageOf(thrown) }, 'whether another worker runs with this home cannot be seen');
    return () => undefined;
  }
  if (lock.release) return lock.release;
  throw new McpctlError(
    'already_running',
    `A worker runs with this home already (process ${String(lock.holder.pid)}, home ${root}), perhaps that of "npm start": it serves what is published here. Stop that one first, or set MCPCTL_HOME to a home of its own.`,
  );
}

/** With the token of whoever is logged in here: one that may only publish may call nothing. Null where nobody is. */
async function openLoopback(
  port: number,
  { home, network, log }: { home: Home; network: Network; log: Log },
): Promise<Service | null> {
  const { credentials } = await readCredentials(home.credentials);
  if (!credentials) return null;
  const [{ createLoopback }, { createProjectEndpoint }] = await Promise.all([
    import('./bridge/loopback.ts'),
    import('./bridge/project-endpoint.ts'),
  ]);
  const loopback = createLoopback({
    port,
    endpoint: createProjectEndpoint({ ...credentials, network }),
    log,
  });
  await loopback.start?.();
  log.info({ url: `http://127.0.0.1:${String(port)}/mcp/projects/` }, 'projects are served to this machine');
  return loopback;
}

interface Shared {
  home: Home;
  log: Log;
  bus: Bus;
  environment: NodeJS.ProcessEnv;
  guard: GroupGuard;
}

/** The backends that this worker starts, or puts to sleep; what keeps them is loaded only where there are any. */
async function keep(
  configured: readonly ConfiguredProvider[],
  opened: readonly Opened[],
  { home, ...deps }: Shared,
): Promise<void> {
  const { keepBackends } = await import('./managed/open-kept.ts');
  keepBackends(configured, opened, { ...deps, home: home.root, logsAt: home.logs, clock: systemClock });
}

/** Keeps the llms for the owner of this machine, where they have said when it is theirs. */
async function ownerWatchOf(
  configured: readonly ConfiguredProvider[],
  opened: readonly Opened[],
  { log }: Shared,
): Promise<PublishedDeps['watchOwner']> {
  if (!configured.some(({ quiet, ownerFirst }) => quiet.length > 0 || ownerFirst)) return null;
  const { OwnerWatch } = await import('./owner/owner-watch.ts');
  return (hooks) => new OwnerWatch({ configured, opened, ...hooks, clock: systemClock, log });
}

/** The MCP servers of this machine; their code is loaded only where there are any. */
async function openMcp(
  entries: readonly McpServerEntry[],
  { home, ...deps }: Shared,
): Promise<NonNullable<PublishedDeps['mcp']>> {
  const [{ openServers }, { ToldTools }] = await Promise.all([
    import('./mcp/open-servers.ts'),
    import('./mcp/told/told-tools.ts'),
  ]);
  return { servers: openServers(entries, { ...deps, home: home.root, clock: systemClock }), ToldTools };
}

/** The worker's own port for probes and scrapers; null where none was asked for. */
async function openHealth(
  config: Settings<'healthPort' | 'healthHost' | 'commit'>,
  { bus, clock }: { bus: Bus; clock: Clock },
): Promise<HealthPort | null> {
  const { healthPort: port, healthHost: host } = config;
  if (port === undefined) return null;
  const { workerMetrics } = await import('./metrics.ts');
  let serves = false;
  bus.on('service.ready', () => (serves = true));
  bus.on('service.stopping', () => (serves = false));
  const ready = (): Promise<void> =>
    serves
      ? Promise.resolve()
      : Promise.reject(new McpctlError('unavailable', 'This worker serves nothing.'));
  return createHealthPort({ port, host, ready, metrics: workerMetrics({ ...config, bus, clock }) });
}
