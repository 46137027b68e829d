import type { Capabilities } from '../../core/llm.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { LlmProvider } from '../providers/provider.ts';

/** One llm to publish. */
export interface RegistrarPublishedProvider {
  provider: LlmProvider;
  type: string;
  model: string;
  tier?: string;
  poolName?: string;
  maxConcurrency?: number;
  capabilities?: Capabilities;
  /** The same text for llms of one backend: they share one count of slots. Means nothing to anybody else. */
  slotGroup?: string;
  /** What the row begins with; without it the backend is asked, if there is a `wake` recipe. */
  status?: 'active' | 'hibernating' | 'inactive';
  /** Why its backend refuses what is configured. */
  misconfigured?: string;
  /** Why it takes nothing now, or sleeps, where that is this worker's doing. */
  statusReason?: string;
  /** Its presence makes an unavailable backend `hibernating` rather than `active`. */
  wake?: unknown;
}

const PROBE_MS = 3_000;

/** It as the wire has it (docs/spec.md §3). `initialStatus` is always said. */
export async function wireOffer(published: RegistrarPublishedProvider): Promise<object> {
  const { provider, type, model, tier, poolName, maxConcurrency, capabilities, slotGroup } = published;
  return {
    name: provider.name,
    type,
    model,
    tier,
    poolName,
    maxConcurrency,
    capabilities,
    slotGroup,
    misconfigured: published.misconfigured,
    statusReason: published.statusReason,
    initialStatus: published.status ?? (await firstStatus(published)),
  };
}

async function firstStatus({
  provider,
  wake,
}: RegistrarPublishedProvider): Promise<'active' | 'hibernating'> {
  if (wake === undefined) return 'active';
  return (await isThere(provider, AbortSignal.timeout(PROBE_MS))) ? 'active' : 'hibernating';
}

/** Whether the backend answers, of a provider that anybody may have written: one that throws holds up no other. */
export async function isThere(
  provider: Pick<LlmProvider, 'isAvailable'>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await provider.isAvailable(signal);
  } catch {
    return false; // its message may say too much
  }
}

const WARM_UP_MS = 10 * 60_000;

/** Loads the models of what is published and awake, so that the first caller does not wait. Never throws. */
export async function warmUp(
  offers: readonly RegistrarPublishedProvider[],
  { stopping, say }: { stopping: AbortSignal; say: (why: string) => void },
): Promise<void> {
  await Promise.all(
    offers.map(async ({ provider, status, wake }) => {
      const signal = anySignal([stopping, AbortSignal.timeout(WARM_UP_MS)]);
      try {
        if (!provider.warmup || (status ?? 'active') !== 'active') return;
        if (wake !== undefined && !(await provider.isAvailable(signal))) return; // it sleeps on
        await provider.warmup(signal);
      } catch {
        // Its message may say too much; a backend that is not there yet shows when the first task comes.
        if (!stopping.aborted)
          say(`${provider.name} could not be warmed up; its first answer may take longer`);
      }
    }),
  );
}
