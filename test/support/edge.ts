import type { OpenedDoor } from '../../core/queue/door.ts';
import { Redis } from 'ioredis';
import { createKeys } from '../../core/queue/keys.ts';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import { pause } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { composeServices } from '../../core/runtime/process/service.ts';
import { createApp } from '../../edge/app.ts';
import { wireEdge } from '../../edge/compose.ts';
import { edgeSettings, type EdgeDeps } from '../../edge/deps.ts';
import { createEdgeServer } from '../../edge/http/server.ts';
import { keyOfTests } from './keyring.ts';
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
  /** Its caller leaves when it fires. */
  signal?: AbortSignal | undefined;
}

export interface EdgeFixture extends RegistryFixture {
  url: string;
  bus: Bus;
  deps: EdgeDeps & { queue: OpenedDoor };
  /** Tokens of `root` (admin), `ada` and `bob`. */
  tokens: { root: string; ada: string; bob: string };
  /** `METHOD /path`; as ada unless told. */
  call(what: string, options?: Call): Promise<Answer>;
  stopping: AbortController;
}

/** A test asks as fast as it can; how fast one may ask is tests' own matter. */
export const anyRate = {
  MCPCTL_MAX_USER_REQUEST_RATE: '1000000',
  MCPCTL_MAX_ADDRESS_REQUEST_RATE: '1000000',
} as const;

const adminText = 'a-bootstrap-token-of-the-tests-0123456789';

/**
 * @param through URLs of Postgres and Redis to use instead, e.g. with a wire between (wire.ts).
 * @param resources instead of those of this release.
 */
export async function edgeFixture(
  env: Record<string, string> = {},
  through: { redisUrl?: string; databaseUrl?: string } = {},
  resources?: Parameters<typeof wireEdge>[0]['resources'],
): Promise<EdgeFixture> {
  const t = await registryFixture({ poolSize: 10, ...through });
  const config = readConfig(
    {
      DATABASE_URL: t.databaseUrl,
      REDIS_URL: through.redisUrl ?? t.redisUrl,
      MCPCTL_REDIS_NAMESPACE: t.namespace,
      // Tests change rows and leases behind the edge's back, and ask at once.
      MCPCTL_POOL_CACHE_MS: '0',
      MCPCTL_REDIS_WORKERS: '1',
      MCPCTL_SECRETS_KEY: keyOfTests,
      ...anyRate,
      ...env,
    },
    edgeSettings,
  );
  const log = createLog({ process: 'test', level: process.env['TEST_LOG'] ?? 'silent', pretty: false });
  const stopping = new AbortController();
  const leaving = new AbortController();
  const about = {
    version: '0.0.0-test',
    bullmqVersion: '6.7.0',
    ofProcess: false,
    ...(resources && { resources }),
  };
  const { deps, services } = wireEdge(
    { config, log, connection: t.connection, ...about },
    { stopping: stopping.signal, leaving: leaving.signal },
  );
  const { registry, bus, queue } = deps;
  const running = composeServices(services, log);
  await running.start?.();
  // As after a lease's time: a session without a lease is gone.
  await queue.redis.set(queue.keys.epoch, '1');
  const server = createEdgeServer({
    app: createApp(deps),
    port: 0,
    host: '127.0.0.1',
    graceMs: 20,
    leaving,
    limits: config,
    metrics: deps.metrics,
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
    async call(what, { token = tokens.ada, body, raw, headers = {}, signal } = {}) {
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
        ...(signal && { signal }),
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
      await running.stop();
      await t.close();
    },
  };
}

/** A public llm that nobody serves; its backend is never asked. */
export async function publicLlm(t: EdgeFixture, name: string): Promise<void> {
  const llm = { name, type: 'openai', model: 'm', url: 'http://backend.test/v1' };
  await t.call('POST /api/v1/llms', { token: t.tokens.root, body: llm });
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
