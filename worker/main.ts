#!/usr/bin/env node
import { randomUUID } from 'node:crypto';
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import type { Registered } from '../core/protocol.ts';
import { createBus, type Bus } from '../core/runtime/bus.ts';
import { systemClock } from '../core/runtime/clock.ts';
import { readConfig } from '../core/runtime/config.ts';
import { homeAt } from '../core/runtime/home.ts';
import { createLog, type Log } from '../core/runtime/log.ts';
import { ownPackage } from '../core/runtime/own-package.ts';
import type { Settings } from '../core/runtime/settings.ts';
import { untilSignal } from '../core/runtime/signals.ts';
import { readArguments, usage } from './arguments.ts';
import { createBackends } from './backends.ts';
import { startHosted } from './hosted/hosted.ts';
import { membersOf, offersOf, openPublished, persist, type Opened } from './publish.ts';
import { VirtualLlmRegistrar } from './registrar.ts';
import { readWorkerConfig } from './sources/config.ts';
import { readCredentials, type Credentials } from './sources/credentials.ts';
import { RedisTransport } from './transports/redis.ts';

const settingNames = [
  'optionalRedisUrl',
  'redisTlsVerify',
  'namespace',
  'home',
  'logLevel',
  'graceMs',
  'leaseMs',
  'heartbeatMs',
  'eventBytes',
  'eventKeepMs',
  'workerSource',
  'optionalDatabaseUrl',
  'schema',
  'hostedAllow',
] as const;
type Config = Settings<(typeof settingNames)[number]>;

interface Stoppable {
  stop(): Promise<void>;
}

interface Parts {
  config: Config;
  log: Log;
  bus: Bus;
  credentials: Credentials;
  opened: readonly Opened[];
  /** What a wake command may see of it. */
  environment: NodeJS.ProcessEnv;
}

/** The worker's composition root: reads the environment and the home, publishes, serves until a signal. */
async function run(): Promise<void> {
  const config = readConfig(process.env, settingNames);
  const log = createLog({ process: 'worker', level: config.logLevel, pretty: process.stdout.isTTY });
  const signalled = untilSignal(() => process.exit(1));
  const bus = createBus(log);
  const hosted = config.workerSource === 'registry';
  const worker = hosted
    ? startHosted({ config, env: process.env, bus, clock: systemClock, log })
    : await servePublished({ config, log, bus, environment: process.env });
  if (!worker) log.info('nothing to publish; waiting for a signal');
  const signal = await signalled;
  log.info({ signal }, 'the worker stops');
  await worker?.stop();
  process.exit(0);
}

/** What config.json of this machine publishes, served. Null when that is nothing, or there are no credentials. */
async function servePublished({
  config,
  log,
  bus,
  environment,
}: Pick<Parts, 'config' | 'log' | 'bus' | 'environment'>): Promise<Stoppable | null> {
  const home = homeAt(config.home);
  const { published, warnings } = await readWorkerConfig(home.config, home.root);
  const { credentials, warnings: more } = await readCredentials(home.credentials);
  for (const warning of [...warnings, ...more]) log.warn(warning);
  const opened = openPublished(published, { bus, clock: systemClock });
  if (!credentials || opened.length === 0) return null;
  return serve({ config, log, bus, credentials, opened, environment });
}

function serve({ config, log, bus, credentials, opened, environment }: Parts): Stoppable {
  const url = config.optionalRedisUrl;
  if (url === undefined) throw new McpctlError('transport_unavailable');
  const { version, dependencies } = ownPackage();
  const boot = randomUUID();
  const clock = systemClock;
  const stopping = new AbortController();
  let transport: RedisTransport | undefined;
  const refresh = (): Promise<void> => registrar.refresh(offersOf(opened));
  const backends = createBackends({ opened, refresh, environment, bus, clock, log });

  const onRegistered = async (registered: Registered): Promise<void> => {
    const session = registered.providerSessionId;
    if (registered.transport.kind !== 'redis') throw new McpctlError('transport_unavailable');
    if (!transport) {
      const options = { ...config, url, verifyTls: config.redisTlsVerify, session, boot, clock, log, bus };
      const { namespace } = registered.transport;
      transport = new RedisTransport({ ...options, namespace, wake: (llm) => backends.wake(llm) });
      await transport.start();
    }
    await transport.serve(membersOf(opened, registered));
    bus.emit('session.registered', { sessionId: session, llms: registered.llms.map((llm) => llm.name) });
  };
  let serving: Promise<void> = Promise.resolve();
  const registrar = new VirtualLlmRegistrar({
    ...credentials,
    publishedProviders: offersOf(opened),
    sessionFilePath: homeAt(config.home).session,
    log,
    heartbeatIntervalMs: config.heartbeatMs,
    instanceId: boot,
    versions: { worker: version, bullmq: dependencies['bullmq'] ?? '' },
    transports: ['redis'],
    onRegistered: (registered) => {
      serving = onRegistered(registered);
      serving.catch((thrown: unknown) => log.error({ why: messageOf(thrown) }, 'tasks cannot be taken'));
    },
  });
  const attempt = async (): Promise<void> => {
    await backends.first();
    await refresh();
    await registrar.start();
    await serving;
    await backends.start?.();
    bus.emit('service.ready', { service: 'worker' });
  };
  const publishing = persist(attempt, { stopping: stopping.signal, clock, log });
  return {
    async stop() {
      stopping.abort();
      await publishing;
      await backends.stop();
      await transport?.stop();
      registrar.stop();
      await registrar.left();
    },
  };
}

async function main(): Promise<void> {
  switch (readArguments(process.argv.slice(2))) {
    case 'run':
      return await run();
    case 'version':
      process.stdout.write(`mcplocal ${ownPackage().version}\n`);
      return;
    case 'help':
      process.stdout.write(usage);
      return;
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(`mcplocal: ${messageOf(thrown)}\n`);
  process.exit(thrown instanceof McpctlError ? entryOf(thrown.code).exit : 1);
});
