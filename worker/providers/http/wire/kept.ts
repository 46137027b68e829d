import { createHash } from 'node:crypto';
import { anySignal } from '../../../../core/runtime/any-signal.ts';
import type { ProbeResult } from '../../provider.ts';

/** Keeps what was probed for as long as the backend's list of models stays the same. */
export interface Kept {
  probe(model: string, signal: AbortSignal): Promise<ProbeResult>;
  fingerprint(signal: AbortSignal): Promise<string | undefined>;
  /** The backend was away: what it can do is asked anew. */
  forget(): void;
}

export interface Probing {
  /** Everything that changes with the models, in one stable order; undefined when the backend does not answer. */
  state: (signal: AbortSignal) => Promise<unknown>;
  /** Undefined when too little was learnt to be kept. */
  ask: (model: string, signal: AbortSignal) => Promise<ProbeResult | undefined>;
}

/** All the questions of one look; each has a time of its own (`glancing`). */
const probeMs = 15_000;

export function keepProbes({ state, ask }: Probing): Kept {
  const results = new Map<string, { fingerprint: string | undefined; result: ProbeResult }>();
  const fingerprint = async (signal: AbortSignal): Promise<string | undefined> => {
    const says = await state(anySignal([signal, AbortSignal.timeout(probeMs)])).catch(() => undefined);
    if (says === undefined) return undefined;
    return createHash('sha256').update(JSON.stringify(says)).digest('base64url').slice(0, 22);
  };
  return {
    fingerprint,
    async probe(model, signal) {
      const limit = anySignal([signal, AbortSignal.timeout(probeMs)]);
      const now = await fingerprint(limit);
      const before = results.get(model);
      if (before && (now === undefined || now === before.fingerprint)) return before.result;
      const result = now === undefined ? undefined : await ask(model, limit).catch(() => undefined);
      if (!result) return before?.result ?? { capabilities: {} };
      results.set(model, { fingerprint: now, result });
      return result;
    },
    forget() {
      for (const kept of results.values()) kept.fingerprint = undefined;
    },
  };
}
