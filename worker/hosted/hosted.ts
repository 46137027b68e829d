import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { closeRedis, openRedis } from '../../core/queue/link/connect.ts';
import type { OwnUser } from '../../core/queue/link/connector.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { hostedSession, hostedUser, redisUserName } from '../../core/queue/redis-users.ts';
import { createHostedServers } from '../../core/queue/live/hosted-servers.ts';
import { sayOfOrders } from '../../core/queue/live/mcp/server-orders.ts';
import { tellsOfResources } from '../../core/queue/live/mcp/subscriptions.ts';
import { createPresence } from '../../core/queue/live/presence.ts';
import { keySpaceOf, redisPlaceOf } from '../../core/queue/link/where.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { atMost, type Clock } from '../../core/runtime/clock.ts';
import type { Inspection, Known } from '../../core/runtime/settings/config.ts';
import { noKeyring, type KeyringSource } from '../../core/runtime/keyring/keyring.ts';
import { openKeyring } from '../../core/runtime/keyring/open-keyring.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import { persist } from '../backoff.ts';
import { GroupGuard } from '../children/guard.ts';
import {
  inspectDatabase,
  openRegistrySource,
  type PublicLlm,
  type RegistrySource,
} from '../sources/registry.ts';
import { sourceOf } from '../sources/source.ts';
import { RedisTransport } from '../transports/redis.ts';
import { guardedDialling } from './addresses.ts';
import { followRegistry } from './follow.ts';
import { ownJournal } from './own-journal.ts';
import { ServersHere } from './servers.ts';
import { HostedMembers } from './members.ts';
import { secretKeysFor, type SecretKeys } from './secret-keys.ts';

export type HostedConfig = Settings<
  | 'optionalDatabaseUrl'
  | 'schema'
  | 'optionalRedisUrl'
  | 'redisTlsVerify'
  | 'redisNodes'
  | 'redisSentinels'
  | 'redisSentinelName'
  | 'redisCa'
  | 'databaseSslMode'
  | 'databaseCa'
  | 'namespace'
  | 'hostedAllow'
  | 'hostedKeys'
  | 'graceMs'
  | 'leaseMs'
  | 'eventBytes'
  | 'eventKeepMs'
  | 'home'
  | 'secretsKeysFile'
  | 'secretsKey'
  | 'hostedRedisPassword'
>;

export interface HostedDeps {
  config: HostedConfig;
  /** Of this process: what `apiKeyRef.env` names. */
  env: Readonly<Record<string, string | undefined>>;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** Each costs a connection to Redis; whoever has more runs a second installation. */
const MOST_LLMS = 1_000;
const LEAVE_MS = 1_000;

/**
 * The hosted worker (`WORKER_SOURCE=registry`): serves the public llms of the registry over the redis transport. Any
 * number of them run at once. It registers nowhere: its session is random, like its boot, and lives in Redis alone. With
 * MCPCTL_HOSTED_REDIS_PASSWORD it is a user of Redis that may touch the pools of public llms alone.
 * @throws McpctlError `invalid_config` when a URL is missing.
 */
export function startHosted(deps: HostedDeps): { stop(): Promise<void> } {
  const { config, env, bus, clock, log } = deps;
  const { optionalDatabaseUrl: databaseUrl, optionalRedisUrl: redisUrl } = config;
  if (databaseUrl === undefined || redisUrl === undefined)
    throw new McpctlError('invalid_config', 'A hosted worker needs DATABASE_URL and REDIS_URL.');
  const redis = { ...redisPlaceOf({ ...config, redisUrl }), clock, log };
  const ownUser = ownUserOf({ ...config, redisUrl });
  const session = hostedSession();
  const stopping = new AbortController();
  const source = openRegistrySource({ ...config, databaseUrl, most: MOST_LLMS, log });
  const dialling = guardedDialling(config.hostedAllow);
  const keyring = keyringOf(config, { clock, log });
  const secretKeys = (llm: PublicLlm): SecretKeys => secretKeysFor({ source, keyring }, llm);
  const members = new HostedMembers({
    ...{ env, bus, clock, log, dialling, secretKeys },
    ownFiles: ownFilesOf(config),
    namedKeys: config.hostedKeys,
  });
  const servers = openServersHere(
    { config, redis: { ...redis, user: ownUser }, session, source, keyring },
    deps,
  );
  const transport = new RedisTransport({
    ...config,
    ...redis,
    ownUser,
    namespace: keySpaceOf(config),
    session,
    boot: randomUUID(),
    bus,
    fetchBody: ({ taskId }) => source.bodyOf(taskId),
    ordered: (order) => void servers.here.ordered(order),
  });
  const serving = (async () => {
    const start = (): Promise<void> => transport.start();
    if (!(await persist(start, { stopping: stopping.signal, clock, log }))) return;
    const ready = (): void => bus.emit('service.ready', { service: 'worker' });
    await followRegistry({
      ...{ source, members, transport, ready, clock, log },
      servers: servers.here,
      stopping: stopping.signal,
    });
  })();
  return {
    async stop() {
      stopping.abort();
      await serving;
      await transport.stop();
      members.end();
      await servers.stop();
      await leave(
        { ...config, ...redis, user: ownUser, namespace: keySpaceOf(config) },
        { session, pools: [...members.pools(), ...servers.pools] },
      );
      await source.close();
    },
  };
}

/** What runs or dials the MCP servers: a connection to Redis of its own, and a journal in the home once there is a server. */
function openServersHere(
  of: {
    config: HostedConfig;
    redis: Parameters<typeof openRedis>[1];
    session: string;
    source: RegistrySource;
    keyring: KeyringSource;
  },
  { env, bus, clock, log }: HostedDeps,
): { here: ServersHere; pools: readonly string[]; stop(): Promise<void> } {
  const redis = openRedis('producer', of.redis);
  const store = { redis, keys: createKeys(keySpaceOf(of.config)) };
  redis.connect().catch(() => undefined); // it is tried again with each command
  const root = join(homeAt(of.config.home).root, 'mcp');
  let own: ReturnType<typeof ownJournal> | undefined;
  const guard = new GroupGuard();
  const here = new ServersHere({
    ...{ source: of.source, keyring: of.keyring, session: of.session, env, root, guard, bus, clock, log },
    dialling: guardedDialling(of.config.hostedAllow),
    hosted: createHostedServers(store),
    news: tellsOfResources(store),
    answers: sayOfOrders(store),
    journal: () => (own ??= ownJournal(root, clock.now())).journal,
    now: () => clock.now(),
  });
  let pools: string[] = [];
  return {
    here,
    get pools() {
      return pools;
    },
    async stop() {
      pools = here.pools();
      await here.stop();
      guard.end();
      own?.release();
      closeRedis(redis);
    },
  };
}

/** The keys of all secrets, tokens, and where Postgres and Redis of this machine are. */
function ownFilesOf({ home, secretsKeysFile }: Pick<HostedConfig, 'home' | 'secretsKeysFile'>): string[] {
  const { credentials, workerCredentials, session, cli, secretsKeys, running } = homeAt(home);
  const inHome = [credentials, workerCredentials, session, cli, secretsKeys, running];
  return secretsKeysFile === undefined ? inHome : [secretsKeysFile, ...inHome];
}

/** The scheduler makes it, and again after Redis was lost: until then it is as if Redis were away. */
function ownUserOf({
  hostedRedisPassword: password,
  redisUrl,
  ...config
}: HostedConfig & { redisUrl: string }): OwnUser | undefined {
  // In a Cluster whoever looks for its nodes must be allowed to ask for them.
  if (password === undefined || config.redisNodes.length > 0) return undefined;
  const db = Number(/^\/(\d+)$/.exec(new URL(redisUrl).pathname)?.[1] ?? 0);
  const username = redisUserName(keySpaceOf(config), db, hostedUser);
  return { username, password, onRefused: () => undefined };
}

/** Keys that cannot be read are no reason to serve nothing: those llms alone are not served that need them. */
function keyringOf(config: HostedConfig, deps: Pick<HostedDeps, 'clock' | 'log'>): KeyringSource {
  try {
    return openKeyring(config, deps);
  } catch (thrown) {
    deps.log.error(
      { why: messageOf(thrown) },
      'the keys of secrets cannot be read; llms that refer to one are not served',
    );
    return noKeyring;
  }
}

/** What a hosted worker lacks in its environment, and what is wrong with its Postgres. */
export async function inspectHosted(
  settings: Parameters<typeof sourceOf>[0] & Known<'databaseSslMode' | 'databaseCa'>,
): Promise<Inspection> {
  if (sourceOf(settings) === 'config') return { faults: [] };
  // One that is malformed is missing here, and has been told already.
  const names = { optionalDatabaseUrl: 'DATABASE_URL', optionalRedisUrl: 'REDIS_URL' } as const;
  const faults = Object.entries(names)
    .filter(([name]) => name in settings && settings[name as keyof typeof names] === undefined)
    .map(([, path]) => ({ path, message: 'is required with WORKER_SOURCE=registry' }));
  const seen = await inspectDatabase({ ...settings, databaseUrl: settings.optionalDatabaseUrl });
  return { ...seen, faults: [...faults, ...seen.faults] };
}

/** Says goodbye: without it the llms would count as served until the last announcement is ten seconds old. */
async function leave(
  options: Parameters<typeof openRedis>[1] & Pick<HostedConfig, 'namespace' | 'leaseMs'>,
  { session, pools }: { session: string; pools: readonly string[] },
): Promise<void> {
  const redis = openRedis('producer', options);
  const goodbye = (async () => {
    await redis.connect();
    const { leaseMs } = options;
    await createPresence({ redis, keys: createKeys(options.namespace), leaseMs }).drop(session, pools);
  })();
  const unheard = (thrown: unknown): void =>
    options.log.debug({ why: messageOf(thrown) }, 'the goodbye was not heard');
  await atMost(LEAVE_MS, goodbye.catch(unheard));
  closeRedis(redis);
}
