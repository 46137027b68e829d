import { messageOf } from '../core/errors.ts';
import type { Registered } from '../core/protocol.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Member } from './execute.ts';
import { asForward } from './providers/adapt.ts';
import { providerTypes } from './providers/index.ts';
import type { LlmProvider } from './providers/provider.ts';
import type { RegistrarPublishedProvider } from './registrar.ts';
import { createSlots, type Slots } from './slots.ts';
import type { ConfiguredProvider } from './sources/config.ts';
import type { ServedMember } from './transports/transport.ts';

/** A configured provider, opened. */
export interface Opened {
  configured: ConfiguredProvider;
  provider: LlmProvider;
  slots: Slots;
}

/** Opens the published providers; those of one backend share its slots, as many as the most generous of them says. */
export function openPublished(configured: readonly ConfiguredProvider[]): Opened[] {
  const slots = new Map<string, Slots>();
  for (const { backend } of configured) {
    const size = Math.max(...configured.filter((c) => c.backend === backend).map((c) => c.maxConcurrency));
    if (!slots.has(backend)) slots.set(backend, createSlots(size));
  }
  return configured.map((c) => {
    const { name, url, readKey, model, params } = c;
    const provider = providerTypes[c.type].create({ name, url, readKey, model, params });
    return { configured: c, provider, slots: slots.get(c.backend) ?? createSlots(c.maxConcurrency) };
  });
}

export function offersOf(opened: readonly Opened[]): RegistrarPublishedProvider[] {
  return opened.map(({ provider, configured: c }) => ({
    provider,
    type: c.type,
    model: c.model,
    maxConcurrency: c.maxConcurrency,
    ...(c.tier === undefined ? {} : { tier: c.tier }),
    ...(c.poolName === undefined ? {} : { poolName: c.poolName }),
  }));
}

/** What the registration made of the offers: rows with ids, and their pools. */
export function membersOf(opened: readonly Opened[], registered: Registered): ServedMember[] {
  return registered.llms.flatMap(({ id, name, poolKey }) => {
    const found = opened.find((o) => o.configured.name === name);
    if (!found) return [];
    const { model, stallMs } = found.configured;
    const { provider } = found;
    const member: Member = {
      llmId: id,
      name,
      poolKey,
      model,
      stallMs,
      forward: asForward(provider),
      isAvailable: (signal) => provider.isAvailable(signal),
    };
    return [{ member, slots: found.slots }];
  });
}

const FIRST_RETRY_MS = 250;
const RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 60_000;

/**
 * Tries until it works or `stopping` aborts: at once, within 250 ms, then with jittered backoff from 5 s to
 * 60 s, for ever. One line per change of the reason, not per attempt.
 */
export async function persist(
  attempt: () => Promise<void>,
  { stopping, clock, log }: { stopping: AbortSignal; clock: Clock; log: Log },
): Promise<boolean> {
  let why = '';
  for (let tries = 0; !stopping.aborted; tries++) {
    try {
      await attempt();
      return true;
    } catch (thrown) {
      if (messageOf(thrown) !== why) log.warn({ why: messageOf(thrown) }, 'publishing failed; trying again');
      why = messageOf(thrown);
    }
    const backoff = Math.min(RETRY_MS * 2 ** Math.min(tries - 1, 10), LONGEST_RETRY_MS);
    const wait = tries === 0 ? FIRST_RETRY_MS * clock.random() : backoff * (0.5 + clock.random() / 2);
    await pause(wait, stopping);
  }
  return false;
}
