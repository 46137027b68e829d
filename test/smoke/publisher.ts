import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Registered } from '../../core/protocol.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { readConfig } from '../../core/runtime/config.ts';
import { createLog } from '../../core/runtime/log.ts';
import { ownPackage } from '../../core/runtime/own-package.ts';
import { membersOf, offersOf, openPublished } from '../../worker/publish.ts';
import { VirtualLlmRegistrar } from '../../worker/registrar.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { RedisTransport } from '../../worker/transports/redis.ts';
import { mustBe, SmokeFailure } from './failure.ts';
import type { Target } from './target.ts';

/** A worker that publishes one llm for as long as the smoke test runs. */
export interface Publisher {
  /** @throws when the edge refuses it. */
  register(): Promise<void>;
  /** Hands back what it has and says goodbye; resolves once the edge has heard it. */
  stop(): Promise<void>;
}

/** @param offer what is published, and the folder for the session's file. */
export function createPublisher(
  target: Target,
  offer: { name: string; backendUrl: string; folder: string },
): Publisher {
  const { name, backendUrl, folder } = offer;
  const provider = {
    name,
    type: 'openai',
    model: 'smoke',
    publish: true,
    url: backendUrl,
    maxConcurrency: 2,
  };
  const opened = openPublished(
    parseWorkerConfig(JSON.stringify({ providers: [provider] }), folder).published,
  );
  const log = createLog({ process: 'smoke', level: 'silent', pretty: false });
  const settings = readConfig({}, ['leaseMs', 'eventBytes', 'eventKeepMs', 'graceMs']);
  const boot = randomUUID();
  let registered: Registered | undefined;
  let transport: RedisTransport | undefined;
  let stopped: Promise<void> | undefined;
  const { version, dependencies } = ownPackage();
  const registrar = new VirtualLlmRegistrar({
    mcpdUrl: target.url,
    token: target.token,
    publishedProviders: offersOf(opened),
    sessionFilePath: join(folder, 'provider-session'),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    instanceId: boot,
    versions: { worker: version, bullmq: dependencies['bullmq'] ?? '' },
    transports: ['redis'],
    onRegistered: (answer) => (registered = answer),
  });
  const stop = async (): Promise<void> => {
    await transport?.stop();
    registrar.stop();
    await registrar.left();
  };
  return {
    async register() {
      await registrar.start();
      mustBe(registered !== undefined, 'the edge did not say what it registered.');
      const { transport: offered, providerSessionId: session } = registered;
      if (offered.kind !== 'redis') throw new SmokeFailure('this edge does not offer the redis transport.');
      const taking = new RedisTransport({
        ...settings,
        url: target.redisUrl,
        verifyTls: target.verifyTls,
        namespace: offered.namespace,
        session,
        boot,
        clock,
        log,
        bus: createBus(log),
      });
      await taking.start();
      transport = taking; // one that could not begin has nothing to hand back
      await taking.serve(membersOf(opened, registered));
    },
    stop: () => (stopped ??= stop()),
  };
}
