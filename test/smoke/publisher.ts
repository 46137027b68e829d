import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Registered } from '../../core/member/protocol.ts';
import { openRedis, type ConnectOptions } from '../../core/queue/link/connect.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { createPresence } from '../../core/queue/live/presence.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { ownPackage } from '../../core/runtime/files/own-package.ts';
import { createEdgeClient } from '../../worker/edge-client.ts';
import { membersOf, offersOf, openPublished } from '../../worker/backends/open-providers.ts';
import { VirtualLlmRegistrar } from '../../worker/registration/registrar.ts';
import { Serving } from '../../worker/work/serving.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { RedisTransport } from '../../worker/transports/redis.ts';
import { mustBe } from './failure.ts';
import type { Target } from './target.ts';

/** A worker that publishes one llm, and an agent over it, for as long as the smoke test runs. */
export interface Publisher {
  /** @throws when the edge refuses it. */
  register(): Promise<void>;
  /** Begins to take tasks. @throws SmokeFailure when this is not the Redis of the edge. */
  serve(): Promise<void>;
  /** Hands back what it has and says goodbye; resolves once the edge has heard it. */
  stop(): Promise<void>;
}

/** @param offer what is published, and the folder for the session's file. */
export function createPublisher(
  target: Target,
  offer: { name: string; agent: string; backendUrl: string; folder: string },
): Publisher {
  const { name, agent, backendUrl, folder } = offer;
  const provider = {
    name,
    type: 'openai',
    model: 'smoke',
    publish: true,
    url: backendUrl,
    maxConcurrency: 2,
  };
  const log = createLog({ process: 'smoke', level: 'silent', pretty: false });
  const bus = createBus(log);
  const critic = { name: agent, llm: name, systemPrompt: 'You tell stories.' };
  const config = JSON.stringify({ providers: [provider], agents: [critic] });
  const { published, agents } = parseWorkerConfig(config, folder);
  const opened = openPublished(published, { bus, clock });
  const settings = readConfig({}, ['leaseMs', 'eventBytes', 'eventKeepMs', 'graceMs']);
  const boot = randomUUID();
  let registered: Registered | undefined;
  let serving: Serving | undefined;
  let stopped: Promise<void> | undefined;
  const { version, dependencies } = ownPackage();
  const registrar = new VirtualLlmRegistrar({
    mcpdUrl: target.url,
    token: target.token,
    publishedProviders: offersOf(opened),
    publishedAgents: agents,
    sessionFilePath: join(folder, 'provider-session'),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    instanceId: boot,
    versions: { worker: version, bullmq: dependencies['bullmq'] ?? '' },
    transports: ['redis', 'sse'],
    onRegistered: (answer) => (registered = answer),
  });
  const stop = async (): Promise<void> => {
    await serving?.stop();
    registrar.stop();
    await registrar.left();
  };
  return {
    register: () => registrar.start(),
    async serve() {
      mustBe(registered !== undefined, 'the edge did not say what it registered.');
      const { transport: offered, providerSessionId: session } = registered;
      const { redisUrl: url, verifyTls, ca } = target;
      if (offered.kind === 'redis')
        await mustKnow({ url, verifyTls, ca, clock, log }, { ...settings, ...offered, session });
      const edge = createEdgeClient({ mcpdUrl: target.url, token: target.token });
      const redis = { place: { url, verifyTls, ca }, Transport: RedisTransport };
      const onGone = (): void => undefined;
      serving = new Serving({ ...settings, edge, redis, boot, bus, clock, log, onGone });
      await serving.serve(
        registered,
        membersOf(opened, registered, () => Promise.resolve({ ok: true, ms: 0 })),
      );
    },
    stop: () => (stopped ??= stop()),
  };
}

/** The edge has just noted the session in its Redis. */
async function mustKnow(
  connect: ConnectOptions,
  { namespace, session, leaseMs }: { namespace: string; session: string; leaseMs: number },
): Promise<void> {
  const redis = openRedis('producer', connect);
  try {
    await redis.connect();
    const presence = createPresence({ redis, keys: createKeys(namespace), leaseMs });
    const { live } = await presence.sessions([session]);
    const { host } = new URL(connect.url);
    mustBe(live.has(session), `the worker is not noted there; is ${host} the Redis that this edge uses?`);
  } finally {
    redis.disconnect();
  }
}
