import type { WakeResult } from '../../core/member/wake.ts';
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
import { keptMember, type Kept } from './kept.ts';
import type { ServedMember } from '../transports/transport.ts';

/** What is published of a provider, or of another backend that is served as one. */
export type Published = Omit<
  ConfiguredProvider,
  | 'type'
  | 'url'
  | 'publish'
  | 'params'
  | 'readKey'
  | 'managed'
  | 'sleep'
  | 'idleStopMs'
  | 'quiet'
  | 'quietCuts'
  | 'ownerFirst'
> & {
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
  /** Of a backend that this worker starts, or puts to sleep. */
  kept?: Kept;
}

/** Does its backend answer, and is it not one that this worker has put to sleep? Never throws. */
export async function isAvailable({ provider, kept }: Opened, signal: AbortSignal): Promise<boolean> {
  const isUp = (): boolean => kept?.isUp ?? true;
  // It may have ended while it was asked.
  return isUp() && (await provider.isAvailable(signal)) && isUp();
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
    const shared = backends.find(({ backend }) => backend === c.backend);
    if (!shared) return [];
    const gate: Gate = new Gate({
      ...deps,
      llm: name,
      isAvailable: (signal) => isAvailable(opened, signal),
    });
    const opened: Opened = { configured: c, provider, gate, ...shared };
    return [opened];
  });
}

/** What is published as it is now: a sleeping backend `hibernating`, one that has gone `inactive`. */
export function offersOf(opened: readonly Opened[]): RegistrarPublishedProvider[] {
  const concurrencies = opened.map(concurrencyOf);
  return opened.map(({ provider, slotGroup, gate, learnt, kept, configured: c }, n) => ({
    provider,
    type: c.type,
    model: c.model,
    maxConcurrency: concurrencies[n] ?? c.maxConcurrency,
    slotGroup,
    ...(learnt ? { capabilities: learnt.capabilities } : {}),
    ...(c.tier === undefined ? {} : { tier: c.tier }),
    ...(c.poolName === undefined ? {} : { poolName: c.poolName }),
    ...(gate.trouble === null ? {} : { misconfigured: gate.trouble }),
    ...reasonOf({ gate, kept }),
    ...(gate.standing === 'serving' ? {} : { status: statusOf(gate.standing) }),
  }));
}

/** Why it takes nothing now, where that is this worker's doing. */
export function reasonOf({ gate, kept }: { gate: Gate; kept: Kept | undefined }): { statusReason?: string } {
  const statusReason = gate.reserved ?? kept?.why ?? null;
  return statusReason === null ? {} : { statusReason };
}

/** What the registration made of the offers: rows with ids, and their pools. */
export function membersOf(
  opened: readonly Opened[],
  registered: Registered,
  wake: (llmName: string) => Promise<WakeResult>,
): ServedMember[] {
  // Over sse its edge takes them; over Redis they are pools more, with the same slots.
  const drains = registered.transport.kind === 'redis' ? (registered.drains ?? []) : [];
  return [...registered.llms, ...drains].flatMap(({ id, name, poolKey }) => {
    const namesake = opened.find((o) => o.configured.name === name);
    if (!namesake) return [];
    const { model, stallMs } = namesake.configured;
    const { provider, kept, gate } = namesake;
    const forward = asMember(provider);
    const isAsleep = (): boolean => gate.standing === 'asleep';
    const member: Member = {
      llmId: id,
      name,
      poolKey,
      model,
      stallMs,
      forward: kept ? keptMember({ kept, isAsleep, wake: () => wake(name) }, forward) : forward,
      isAvailable: (signal) => isAvailable(namesake, signal),
    };
    return [{ member, slots: namesake.slots, gate }];
  });
}
