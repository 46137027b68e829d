#!/usr/bin/env node
import { entryOf, McpctlError, messageOf } from '../core/errors.ts';
import { inspectRedis } from '../core/queue/inspect.ts';
import { createBus, type Bus } from '../core/runtime/bus.ts';
import { systemClock } from '../core/runtime/clock.ts';
import { readAndInspect, readConfig } from '../core/runtime/config.ts';
import { homeAt } from '../core/runtime/home.ts';
import { createLog, type Log } from '../core/runtime/log.ts';
import { ownPackage } from '../core/runtime/own-package.ts';
import type { Settings } from '../core/runtime/settings.ts';
import { untilSignal } from '../core/runtime/signals.ts';
import { readArguments, usage } from './arguments.ts';
import { openHealth } from './health.ts';
import { inspectHosted, startHosted } from './hosted/hosted.ts';
import { runLocalCommand } from './local/commands.ts';
import type { LocalAction } from './local/protocol.ts';
import { withProxies } from '../core/runtime/network-settings.ts';
import { openNetwork } from '../core/runtime/network.ts';
import { plain } from '../core/runtime/plain.ts';
import { refuseForeign } from '../core/runtime/private-file.mjs';
import { outliveRejections } from '../core/runtime/last-resort.ts';
import { openPublished } from './publish.ts';
import { startPublished, type PublishedWorker } from './published.ts';
import { readWorkerConfig } from './sources/config.ts';
import { readCredentials } from './sources/credentials.ts';
import { sourceOf } from './sources/source.ts';

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
] as const;
type Config = Settings<(typeof settingNames)[number]>;

/** The worker's composition root: reads the environment and the home, publishes, serves until a signal. */
async function run(): Promise<void> {
  const config = await readAndInspect(withProxies(process.env), settingNames, [
    (known) =>
      inspectRedis({
        ...known,
        redisUrl: known.optionalRedisUrl,
        userComesLater: sourceOf(known) === 'config',
      }),
    inspectHosted,
  ]);
  const log = createLog({ process: 'worker', level: config.logLevel, pretty: process.stdout.isTTY });
  outliveRejections(log);
  const signalled = untilSignal(() => process.exit(1));
  const bus = createBus(log);
  const clock = systemClock;
  const source = sourceOf(config);
  log.info({ source }, source === 'config' ? "serves this machine's llms" : 'serves the public llms');
  const health = await openHealth(config, { bus, clock });
  await health?.start?.();
  if (health) log.info({ port: health.port() }, 'the health port listens');
  const published =
    source === 'config' ? await servePublished({ config, log, bus, environment: process.env }) : null;
  const hosted = source === 'registry' ? startHosted({ config, env: process.env, bus, clock, log }) : null;
  const worker = published ?? hosted;
  if (!worker) log.info('nothing to publish; waiting for a signal');
  const drained = published?.drained.then(() => 'drained' as const) ?? signalled;
  const why = await Promise.race([signalled, drained]);
  bus.emit('service.stopping', { service: 'worker', signal: why });
  await worker?.stop();
  await health?.stop();
  process.exit(0);
}

/** What config.json of this machine publishes, served. Null when that is nothing, or there are no credentials. */
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
}): Promise<PublishedWorker | null> {
  const home = homeAt(config.home);
  refuseForeign(home.root); // config.json may name commands to run
  const { published, warnings } = await readWorkerConfig(home.config, home.root);
  const { credentials, warnings: more } = await readCredentials(home.credentials);
  for (const warning of [...warnings, ...more]) log.warn(warning);
  const clock = systemClock;
  const opened = openPublished(published, { bus, clock });
  if (!credentials || opened.length === 0) return null;
  const network = openNetwork(config);
  const paths = { sessionFilePath: home.session, socketPath: home.socket };
  return startPublished({ config, credentials, opened, network, environment, ...paths, bus, clock, log });
}

async function local(what: 'status' | LocalAction, json: boolean): Promise<void> {
  const { home } = readConfig(process.env, ['home']);
  const print = (text: string): void => void process.stdout.write(plain(text));
  await runLocalCommand(what, { path: homeAt(home).socket, json, print });
}

async function main(): Promise<void> {
  const { command, json } = readArguments(process.argv.slice(2));
  switch (command) {
    case 'run':
      return await run();
    case 'status':
    case 'pause':
    case 'resume':
    case 'drain':
      return await local(command, json);
    case 'version':
      process.stdout.write(`mcplocal ${ownPackage().version}\n`);
      return;
    case 'help':
      process.stdout.write(usage);
      return;
  }
}

main().catch((thrown: unknown) => {
  process.stderr.write(plain(`mcplocal: ${messageOf(thrown)}\n`));
  process.exit(thrown instanceof McpctlError ? entryOf(thrown.code).exit : 1);
});
