import { statusOf } from '../../core/member/member-state.ts';
import type { Registered } from '../../core/member/protocol.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Member } from '../work/execute.ts';
import { Gate } from '../work/gate.ts';
import { asMember } from '../providers/adapt.ts';
import { providerTypes } from '../providers/index.ts';
import type { LlmProvider, ProbeResult } from '../providers/provider.ts';
import type { RegistrarPublishedProvider } from '../registration/offer.ts';
import { Slots } from '../../core/member/slots.ts';
import type { ConfiguredProvider } from '../sources/config.ts';
import type { ServedMember } from '../transports/transport.ts';

/** What is published of a provider, or of another backend that is served as one. */
export type Published = Omit<ConfiguredProvider, 'type' | 'url' | 'publish' | 'params' | 'readKey'> & {
  type: string;
};

/** A configured provider, opened. */
export interface Opened {
  configured: Published;
  provider: LlmProvider;
  /** Of its backend. */
  slots: Slots;
  /** Stands for the backend to the edge; tells nothing of its address. */
  slotGroup: string;
  gate: Gate;
  /** What the backend said last of what it can do. */
  learnt?: ProbeResult;
  /** Whether the backend lists the model; undefined before it has listed any. */
  listed?: boolean;
}

/** What its owner stated counts; else what the backend says; else what its type usually takes. */
export function concurrencyOf({ configured: c, learnt }: Opened): number {
  return c.concurrencyStated ? c.maxConcurrency : (learnt?.slots ?? c.maxConcurrency);
}

/** Opens the published providers; those of one backend share its slots, as many as the most generous of them says. */
export function openPublished(
  configured: readonly ConfiguredProvider[],
  deps: { bus: Bus; clock: Clock },
): Opened[] {
  const backends = [...new Set(configured.map((c) => c.backend))].map((backend, n) => {
    const size = Math.max(...configured.filter((c) => c.backend === backend).map((c) => c.maxConcurrency));
    return { backend, slots: new Slots(size), slotGroup: `backend-${String(n + 1)}` };
  });
  return configured.flatMap((c) => {
    const { name, url, readKey, model, params } = c;
    const provider = providerTypes[c.type].create({ name, url, readKey, model, params });
    const isAvailable = (signal: AbortSignal): Promise<boolean> => provider.isAvailable(signal);
    const gate = new Gate({ ...deps, llm: name, isAvailable });
    const shared = backends.find(({ backend }) => backend === c.backend);
    return shared ? [{ configured: c, provider, gate, ...shared }] : [];
  });
}

/** What is published as it is now: a sleeping backend `hibernating`, one that has gone `inactive`. */
export function offersOf(opened: readonly Opened[]): RegistrarPublishedProvider[] {
  const concurrencies = opened.map(concurrencyOf);
  return opened.map(({ provider, slotGroup, gate, learnt, configured: c }, n) => ({
    provider,
    type: c.type,
    model: c.model,
    maxConcurrency: concurrencies[n] ?? c.maxConcurrency,
    slotGroup,
    ...(learnt ? { capabilities: learnt.capabilities } : {}),
    ...(c.tier === undefined ? {} : { tier: c.tier }),
    ...(c.poolName === undefined ? {} : { poolName: c.poolName }),
    ...(gate.trouble === null ? {} : { misconfigured: gate.trouble }),
    ...(gate.standing === 'serving' ? {} : { status: statusOf(gate.standing) }),
  }));
}

/** What the registration made of the offers: rows with ids, and their pools. */
export function membersOf(opened: readonly Opened[], registered: Registered): ServedMember[] {
  return registered.llms.flatMap(({ id, name, poolKey }) => {
    const namesake = opened.find((o) => o.configured.name === name);
    if (!namesake) return [];
    const { model, stallMs } = namesake.configured;
    const { provider } = namesake;
    const member: Member = {
      llmId: id,
      name,
      poolKey,
      model,
      stallMs,
      forward: asMember(provider),
      isAvailable: (signal) => provider.isAvailable(signal),
    };
    return [{ member, slots: namesake.slots, gate: namesake.gate }];
  });
}
