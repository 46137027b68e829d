import { composeServices } from '../../core/runtime/process/service.ts';
import { createApp } from '../../edge/app.ts';
import { wireEdge } from '../../edge/compose.ts';
import type { Relay } from '../../edge/relay/relay.ts';
import { createEdgeServer } from '../../edge/http/server.ts';
import type { EdgeFixture } from '../support/edge.ts';

export interface SecondEdge {
  url: string;
  relay: Relay;
  /** SIGTERM. */
  stopping: AbortController;
  close(): Promise<void>;
}

/** Another edge over the same Redis and Postgres, with a relay of its own. */
export async function secondEdge(
  t: EdgeFixture,
  config: EdgeFixture['deps']['config'] = t.deps.config,
): Promise<SecondEdge> {
  const { log, version, bullmqVersion } = t.deps;
  const stopping = new AbortController();
  const leaving = new AbortController();
  const { deps, services } = wireEdge(
    { config, log, version, bullmqVersion, connection: t.connection, ofProcess: false },
    { stopping: stopping.signal, leaving: leaving.signal },
  );
  const running = composeServices(services, log);
  await running.start?.();
  const server = createEdgeServer({
    app: createApp(deps),
    port: 0,
    host: '127.0.0.1',
    graceMs: 20,
    leaving,
  });
  await server.start?.();
  return {
    url: `http://127.0.0.1:${String(server.port())}`,
    relay: deps.relay,
    stopping,
    async close() {
      await server.stop();
      await running.stop();
    },
  };
}
