import { Redis } from 'ioredis';
import { openQueueDoor } from '../../core/queue/door.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { ensureAdmin } from '../../core/registry/bootstrap.ts';
import { isCurrent } from '../../core/registry/migrate.ts';
import { createBus, type Bus } from '../../core/runtime/bus.ts';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createApp } from '../../edge/app.ts';
import { createAuthenticator } from '../../edge/authenticator.ts';
import { createCaps } from '../../edge/caps.ts';
import { edgeSettings, type EdgeDeps } from '../../edge/deps.ts';
import { createHeartbeats } from '../../edge/heartbeats.ts';
import { createLiveness } from '../../core/flow/liveness.ts';
import { createMetrics } from '../../edge/metrics.ts';
import { createPoolLooks } from '../../edge/pool-looks.ts';
import { countPools } from '../../edge/pool-counts.ts';
import { Relay } from '../../edge/relay/relay.ts';
import { createEdgeServer } from '../../edge/server.ts';
import { createWaiters } from '../../edge/waiters.ts';
import { Wakings } from '../../edge/wakings.ts';
import { registryFixture, type RegistryFixture } from './registry.ts';

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The body as JSON; undefined when it is none. */
  json: unknown;
}

export interface Call {
  token?: string | null;
  body?: unknown;
  /** Instead of `body`: the bytes as they are. */
  raw?: RequestInit['body'];
  headers?: Record<string, string>;
}

export interface EdgeFixture extends RegistryFixture {
  url: string;
  bus: Bus;
  deps: EdgeDeps;
  /** Tokens of `root` (admin), `ada` and `bob`. */
  tokens: { root: string; ada: string; bob: string };
  /** `METHOD /path`; as ada unless told. */
  call(what: string, options?: Call): Promise<Answer>;
  stopping: AbortController;
}

const adminText = 'a-bootstrap-token-of-the-tests-0123456789';

/** @param through URLs of Postgres and Redis to use instead, e.g. with a wire between (wire.ts). */
export async function edgeFixture(
  env: Record<string, string> = {},
  through: { redisUrl?: string; databaseUrl?: string } = {},
): Promise<EdgeFixture> {
  const t = await registryFixture({ poolSize: 10, ...through });
  const config = readConfig(
    {
      DATABASE_URL: t.databaseUrl,
      REDIS_URL: through.redisUrl ?? t.redisUrl,
      MCPCTL_REDIS_NAMESPACE: t.namespace,
      ...env,
    },
    edgeSettings,
  );
  const clock = systemClock;
  const log = createLog({ process: 'test', level: process.env['TEST_LOG'] ?? 'silent', pretty: false });
  const bus = createBus(log);
  const { registry } = t;
  const queue = openQueueDoor({ ...config, clock, log });
  await queue.start?.();
  const { redis, keys, presence } = queue;
  // As after a lease's time: a session without a lease is gone.
  await redis.set(keys.epoch, '1');
  const heartbeats = createHeartbeats({ registry, presence, queue, log });
  const stopping = new AbortController();
  const leaving = new AbortController();
  const flow = { registry, dispatch: queue.dispatch, bus, by: 'edge' } as const;
  const waiters = createWaiters({ queue, flow, log });
  const wakings = new Wakings({ queue, clock, log });
  const relayOptions = { config, registry, queue, presence, heartbeats, flow, bus, clock, log };
  const relay = new Relay({ ...relayOptions, stopping: stopping.signal });
  await relay.start();
  const liveness = createLiveness({ registry, presence, leaseMs: config.leaseMs });
  const metrics = createMetrics({
    bus,
    version: '0.0.0-test',
    ofProcess: false,
    fleet: { registry, queue, clock, log },
  });
  const deps: EdgeDeps = {
    config,
    version: '0.0.0-test',
    bullmqVersion: '6.7.0',
    clock,
    log,
    bus,
    registry,
    queue,
    presence,
    liveness,
    heartbeats,
    relay,
    authenticator: createAuthenticator({ tokens: registry.tokens, clock, cacheMs: config.tokenCacheMs }),
    waiters,
    wakings,
    lookAtPool: createPoolLooks({ liveness, clock }),
    caps: createCaps({ config, registry, metrics, clock, log }),
    metrics,
    checks: [
      { name: 'postgres', run: async () => void (await isCurrent(t.connection)) },
      { name: 'redis', run: async () => void (await redis.ping()) },
    ],
    stopping: stopping.signal,
    leaving: leaving.signal,
    poolCounts: (keys) => countPools({ registry, queue }, keys),
  };
  const server = createEdgeServer({
    app: createApp(deps),
    port: 0,
    host: '127.0.0.1',
    graceMs: 100,
    leaving,
  });
  await server.start?.();
  const url = `http://127.0.0.1:${server.port()}`;
  await ensureAdmin(registry, adminText);
  const tokenFor = async (userId: string): Promise<string> => {
    const made = { userId, name: 'test', pools: null, expiresInDays: null, createdBy: null };
    return (await registry.tokens.create(made)).text;
  };
  const tokens = {
    root: await tokenFor(t.root.id),
    ada: await tokenFor(t.ada.id),
    bob: await tokenFor(t.bob.id),
  };

  return {
    ...t,
    url,
    bus,
    deps,
    tokens,
    stopping,
    async call(what, { token = tokens.ada, body, raw, headers = {} } = {}) {
      const [method = 'GET', path = '/'] = what.split(' ');
      const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const answer = await fetch(url + path, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(payload === undefined || payload === null ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(payload === undefined ? {} : { body: payload }),
      });
      const text = await answer.text();
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch {
        json = undefined;
      }
      return { status: answer.status, headers: answer.headers, text, json };
    },
    async close() {
      await server.stop();
      await relay.stop();
      await waiters.stop();
      await wakings.stop();
      await heartbeats.stop();
      await queue.stop();
      await t.close();
    },
  };
}

/** The lease of every session in the namespace runs out now, as after 90 s of silence. */
export async function lapse(t: EdgeFixture, sessionId: string): Promise<void> {
  await t.deps.presence.drop(sessionId, []);
}

/** A process that listens on the control channel of a session, as a worker does; `close` is its SIGKILL. */
export async function listensAs(
  t: EdgeFixture,
  sessionId: string,
  boot: string,
): Promise<{ close(): Promise<void> }> {
  const redis = new Redis(t.redisUrl);
  await redis.ssubscribe(createKeys(t.namespace).control(sessionId, boot));
  return {
    async close() {
      redis.disconnect();
      for (let n = 0; n < 200 && (await t.deps.presence.isConnected(sessionId, { boot })); n++)
        await pause(10);
    },
  };
}
