import { openQueueDoor } from '../../core/queue/door.ts';
import { createApp } from '../../edge/app.ts';
import { flowOf } from '../../edge/deps.ts';
import { createHeartbeats } from '../../edge/heartbeats.ts';
import { Relay } from '../../edge/relay/relay.ts';
import { createEdgeServer } from '../../edge/server.ts';
import type { EdgeFixture } from '../support/edge.ts';

export interface SecondEdge {
  url: string;
  relay: Relay;
  /** SIGTERM. */
  stopping: AbortController;
  close(): Promise<void>;
}

/** Another edge over the same Redis and Postgres, with a relay of its own. */
export async function secondEdge(t: EdgeFixture): Promise<SecondEdge> {
  const { config, registry, bus, clock, log } = t.deps;
  const queue = openQueueDoor({ ...config, clock, log });
  await queue.start?.();
  const { presence } = queue;
  const heartbeats = createHeartbeats({ registry, presence, queue, log });
  const stopping = new AbortController();
  const leaving = new AbortController();
  const options = { config, registry, queue, presence, heartbeats, flow: flowOf(t.deps), bus, clock, log };
  const relay = new Relay({ ...options, stopping: stopping.signal });
  await relay.start();
  const deps = {
    ...t.deps,
    queue,
    presence,
    heartbeats,
    relay,
    stopping: stopping.signal,
    leaving: leaving.signal,
  };
  const server = createEdgeServer({
    app: createApp(deps),
    port: 0,
    host: '127.0.0.1',
    graceMs: 100,
    leaving,
  });
  await server.start?.();
  return {
    url: `http://127.0.0.1:${String(server.port())}`,
    relay,
    stopping,
    async close() {
      await server.stop();
      await relay.stop();
      await heartbeats.stop();
      await queue.stop();
    },
  };
}
