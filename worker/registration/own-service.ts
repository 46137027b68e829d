import { messageOf } from '../../core/errors.ts';
import type { Registered } from '../../core/member/protocol.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLogTo } from '../../core/runtime/log.ts';
import type { EdgeClient } from '../edge-client.ts';
import { Gate } from '../work/gate.ts';
import { isThere, type RegistrarPublishedProvider } from './offer.ts';
import { asMember } from '../providers/adapt.ts';
import { Slots } from '../../core/member/slots.ts';
import { SseTransport } from '../transports/sse.ts';
import type { ServedMember } from '../transports/transport.ts';

/** Serves what a registrar has published, for whoever uses it as a library: over the sse transport alone. */
export interface OwnService {
  registered(registered: Registered, offers: readonly RegistrarPublishedProvider[]): void;
  /** Another process has the session. */
  taken(): void;
  /** Hands back what runs, at once. */
  stop(): Promise<void>;
}

const STALL_MS = 120_000;
const SLOTS = 4;
/** Whoever uses the library stops it in between other things. */
const GRACE_MS = 3_000;

export function createOwnService({
  edge,
  boot,
  log: registrarLog,
  onGone,
}: {
  edge: EdgeClient;
  boot: string;
  log: Record<'info' | 'warn' | 'error', (message: string) => void>;
  onGone: () => void;
}): OwnService {
  const log = createLogTo((level, text) => registrarLog[level](text));
  const bus = createBus(log);
  const gates = new Map<string, Gate>();
  const slots = new Map<string, Slots>();
  let transport: { session: string; sse: SseTransport } | undefined;

  const memberOf = (
    { id, name, poolKey }: Registered['llms'][number],
    offers: readonly RegistrarPublishedProvider[],
  ): ServedMember[] => {
    const offer = offers.find(({ provider }) => provider.name === name);
    if (!offer) return [];
    const { provider, model, maxConcurrency, slotGroup = name } = offer;
    // Whoever wrote it: what it throws is no answer.
    const isAvailable = async (signal: AbortSignal): Promise<boolean> => await isThere(provider, signal);
    const gate = gates.get(name) ?? new Gate({ llm: name, isAvailable, bus, clock });
    gates.set(name, gate);
    const shared = slots.get(slotGroup) ?? new Slots(maxConcurrency ?? SLOTS);
    slots.set(slotGroup, shared);
    const forward = asMember(provider);
    const member = { llmId: id, name, poolKey, model, stallMs: STALL_MS, forward, isAvailable };
    return [{ member, slots: shared, gate }];
  };
  return {
    registered(registered, offers) {
      const session = registered.providerSessionId;
      if (registered.transport.kind !== 'sse') return;
      if (transport?.session !== session) {
        void transport?.sse.stop();
        const sse = new SseTransport({ edge, session, boot, graceMs: GRACE_MS, bus, clock, log, onGone });
        transport = { session, sse };
      }
      const members = registered.llms.flatMap((llm) => memberOf(llm, offers));
      transport.sse
        .serve(members)
        .catch((thrown: unknown) => registrarLog.error(`tasks cannot be taken: ${messageOf(thrown)}`));
    },
    taken: () => transport?.sse.yieldSession(),
    async stop() {
      for (const gate of gates.values()) gate.end();
      gates.clear(); // a later registration serves again
      await transport?.sse.stop();
      transport = undefined;
    },
  };
}
