import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import type { Frame, Registered } from '../../core/member/protocol.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createEdgeClient } from '../../worker/edge-client.ts';
import { membersOf, openPublished, type Opened } from '../../worker/backends/open-providers.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { SseTransport, type SseTransportDeps } from '../../worker/transports/sse.ts';
import type { ServedMember } from '../../worker/transports/transport.ts';
import { startBackend, type Backend } from '../support/backend.ts';
import { scriptedEdge, type ScriptedEdge } from './scripted-edge.ts';

/** The sse transport with a provider of its own before a scripted backend, and a scripted edge. */
export interface SseWorker {
  edge: ScriptedEdge;
  backend: Backend;
  session: string;
  transport: SseTransport;
  members: readonly ServedMember[];
  gone(): number;
  /** A task for `tiny`. */
  infer(more?: Partial<Extract<Frame, { kind: 'infer' }>>): Extract<Frame, { kind: 'infer' }>;
  close(): Promise<void>;
}

interface More {
  pingMs?: number;
  slots?: number;
  /** Served besides. */
  others?: readonly Opened[];
}

export async function sseWorker({
  pingMs,
  slots = 2,
  others = [],
  ...deps
}: More & Partial<SseTransportDeps> = {}): Promise<SseWorker> {
  const edge = await scriptedEdge(pingMs === undefined ? {} : { pingMs });
  const backend = await startBackend();
  const log = createLog({ process: 'test', level: process.env['TEST_LOG'] ?? 'silent', pretty: false });
  const bus = createBus(log);
  const provider = {
    name: 'tiny',
    type: 'openai',
    model: 'm',
    publish: true,
    url: backend.url,
    maxConcurrency: slots,
  };
  const { published } = parseWorkerConfig(JSON.stringify({ providers: [provider] }), tmpdir());
  const opened = [...openPublished(published, { bus, clock }), ...others];
  const session = randomUUID();
  let gone = 0;
  const transport = new SseTransport({
    edge: createEdgeClient({ mcpdUrl: edge.url, token: 'a-token' }),
    session,
    boot: 'boot-1',
    graceMs: 4_000,
    bus,
    clock,
    log,
    onGone: () => (gone += 1),
    ...deps,
  });
  const registered: Registered = {
    providerSessionId: session,
    llms: opened.map(({ configured: { name } }) => ({
      ...{ id: randomUUID(), name, poolKey: name, status: 'active' as const },
    })),
    agents: [],
    warnings: [],
    transport: { kind: 'sse' },
  };
  const members = membersOf(opened, registered, () => Promise.resolve({ ok: true, ms: 0 }));
  return {
    edge,
    backend,
    session,
    transport,
    members,
    gone: () => gone,
    infer: (more = {}) => ({
      kind: 'infer',
      taskId: randomUUID(),
      claimId: randomUUID(),
      llmName: 'tiny',
      operation: 'chat',
      streaming: true,
      headers: {},
      request: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], stream: true }),
      runMs: 60_000,
      ...more,
    }),
    async close() {
      await transport.stop();
      for (const { gate } of members) gate.end();
      await edge.close();
      await backend.close();
    },
  };
}
