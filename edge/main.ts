import { McpctlError, messageOf } from '../core/errors.ts';
import { openQueueDoor } from '../core/queue/door.ts';
import { connect, type Connection } from '../core/registry/connect.ts';
import { isCurrent } from '../core/registry/migrate.ts';
import { createRegistry } from '../core/registry/registry.ts';
import { createBus } from '../core/runtime/bus.ts';
import { systemClock } from '../core/runtime/clock.ts';
import { readConfig } from '../core/runtime/config.ts';
import { createLog } from '../core/runtime/log.ts';
import { ownPackage } from '../core/runtime/own-package.ts';
import { composeServices } from '../core/runtime/service.ts';
import { untilSignal } from '../core/runtime/signals.ts';
import { createApp } from './app.ts';
import { createAuthenticator } from './authenticator.ts';
import { createCaps } from './caps.ts';
import { edgeSettings, type EdgeDeps } from './deps.ts';
import { createHeartbeats } from './heartbeats.ts';
import { createLiveness } from '../core/flow/liveness.ts';
import { countPools } from './pool-counts.ts';
import { createMetrics } from './metrics.ts';
import { createEdgeServer } from './server.ts';
import { createWaiters } from './waiters.ts';
import { Wakings } from './wakings.ts';

/** The edge's composition root: reads the environment, builds, starts, waits for a signal, stops in reverse. */
async function run(): Promise<void> {
  const config = readConfig(process.env, edgeSettings);
  const clock = systemClock;
  const log = createLog({ process: 'edge', level: config.logLevel, pretty: process.stdout.isTTY });
  const bus = createBus(log);
  const { version, dependencies } = ownPackage();
  const connection = connect({ ...config, poolSize: config.databasePool, log });
  const registry = createRegistry(connection);
  const queue = openQueueDoor({ ...config, clock, log });
  const { presence } = queue;
  const heartbeats = createHeartbeats({ registry, presence, queue, log });
  const stopping = new AbortController();
  const leaving = new AbortController();
  const flow = { registry, dispatch: queue.dispatch, bus, by: 'edge' } as const;
  const waiters = createWaiters({ queue, flow, log });
  const wakings = new Wakings({ queue, clock, log });

  const metrics = createMetrics({ bus, version, ofProcess: true, fleet: { registry, queue, clock, log } });
  const deps: EdgeDeps = {
    config,
    version,
    bullmqVersion: dependencies['bullmq'] ?? '',
    clock,
    log,
    bus,
    registry,
    queue,
    presence,
    liveness: createLiveness({ registry, presence, leaseMs: config.leaseMs }),
    heartbeats,
    authenticator: createAuthenticator({ tokens: registry.tokens, clock, cacheMs: config.tokenCacheMs }),
    waiters,
    wakings,
    caps: createCaps({ config, registry, metrics, clock, log }),
    metrics,
    checks: [
      { name: 'postgres', run: () => needCurrent(connection) },
      { name: 'redis', run: async () => void (await queue.redis.ping()) },
    ],
    stopping: stopping.signal,
    leaving: leaving.signal,
    poolCounts: (keys) => countPools({ registry, queue }, keys),
  };
  const server = createEdgeServer({ app: createApp(deps), ...config, leaving });
  const services = composeServices(
    [{ name: 'postgres', stop: () => connection.close() }, queue, heartbeats, waiters, wakings, server],
    log,
  );
  const signalled = untilSignal(() => process.exit(1));
  await services.start?.();
  bus.emit('service.ready', { service: 'edge' });
  log.info({ port: server.port() }, 'the edge listens');
  const signal = await signalled;
  stopping.abort();
  bus.emit('service.stopping', { service: 'edge', signal });
  await services.stop();
  process.exit(0);
}

async function needCurrent(connection: Connection): Promise<void> {
  if (await isCurrent(connection)) return;
  throw new McpctlError('unavailable', 'Migrations are missing; run: node dist/scheduler/main.js release');
}

run().catch((thrown: unknown) => {
  process.stderr.write(`mcpctl edge: ${messageOf(thrown)}\n`);
  process.exit(1);
});
