import type { Liveness, LivePool } from '../../core/flow/alive/liveness.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Resource } from '../../core/resources/index.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { Recent } from './recent.ts';

export type Resolved = NonNullable<Awaited<ReturnType<Registry['names']['resolve']>>>;

/** What a name leads to, and who is there. */
export interface Known {
  resolved: Resolved;
  pool: LivePool;
}

/**
 * What calls for a name have found a moment ago, so that a busy name costs neither store a question per call. It may be
 * believed when it says yes, and never when it says no: then `ask`. What is written through this edge is known at once;
 * what another process writes, and a worker that dies, up to `keptMs` later: a task that was accepted on old news waits
 * like one whose worker dies after it.
 */
export interface KnownPools {
  recall(asked: string): Promise<Known | undefined>;
  /**
   * Asks the stores, and remembers.
   * @param isThere whether it is for who asks: who is there is not looked up else, so that a name of what may not be seen takes
   *   as long as one that is nobody's.
   * @returns undefined when nothing is called so, or not for who asks.
   */
  ask(asked: string, isThere: (resolved: Resolved) => boolean): Promise<Known | undefined>;
}

interface KnownPoolsDeps {
  names: Pick<Registry['names'], 'resolve'>;
  liveness: Pick<Liveness, 'loadPool'>;
  bus: Bus;
  clock: Clock;
  /** 0: nothing is remembered. */
  keptMs: number;
}

const MOST = 1_000;
/** A write to anything else, however often, costs no call the memory. */
const leadsToPools: ReadonlySet<string> = new Set<Resource>(['llm', 'pool', 'agent']);

export function createKnownPools({ names, liveness, bus, clock, keptMs }: KnownPoolsDeps): KnownPools {
  const recent = new Recent<Known | undefined>({ clock, keptMs, most: MOST });
  for (const event of ['session.registered', 'session.left'] as const) bus.on(event, () => recent.forget());
  bus.on('registry.written', ({ resource }) => {
    if (leadsToPools.has(resource)) recent.forget();
  });

  const load = async (resolved: Resolved): Promise<Known> => ({
    resolved,
    // Who has left takes what waits, and nothing new.
    pool: { ...(await liveness.loadPool(resolved.poolKey)), former: [] },
  });
  return {
    recall: (asked) => recent.recall(asked) ?? Promise.resolve(undefined),
    async ask(asked, isThere) {
      const begun = recent.begin();
      const resolved = await names.resolve(asked);
      // Of who may not know nothing is remembered: it is no news for those who may.
      if (!resolved || !isThere(resolved)) return undefined;
      return await recent.remember(asked, load(resolved), begun);
    },
  };
}
