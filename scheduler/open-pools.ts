import type { PoolIndex } from '../core/queue/pool-indexes.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** Of more pools than this answers are shared for a moment: each duty would ask for them several times a second. */
const FEW = 100;
const SHARED_MS = 1_000;
/** Between two walks over all of them; in between it is asked which pools the newest tasks are in. */
const WALK_MS = 5_000;
const NEWEST = 500;

/** What somebody is to do something about is listed in one of these. */
const watched: readonly PoolIndex[] = ['run', 'back', 'ended', 'orphans'];

interface Deps {
  registry: Pick<Registry, 'tasks'>;
  queue: Pick<QueueDoor, 'lists'>;
  clock: Clock;
}

/** Pools, and when they were asked for. */
interface Asked {
  pools: readonly string[];
  at: number;
}

/** The same list stays one as long as nothing in it changes: whoever has made something of it keeps that. */
const isSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((key, at) => key === others[at]);

/** Which pools have a task that has not ended, asked once for all duties where they are many. */
export class OpenPools {
  readonly #deps: Deps;
  #walked: Asked = { pools: [], at: -Infinity };
  #listed: Asked = { pools: [], at: -Infinity };
  #busy: Promise<readonly string[]> | null = null;
  #busyAt = -Infinity;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Of many, one that has just got its first task for a while may be missing for a second, in a flood for five. */
  async list(): Promise<readonly string[]> {
    const { registry, clock } = this.#deps;
    const now = clock.elapsed();
    const isMany = this.#walked.pools.length > FEW;
    if (isMany && now - this.#listed.at < SHARED_MS) return this.#listed.pools;
    if (!isMany || now - this.#walked.at >= WALK_MS) {
      const pools = await registry.tasks.openPools();
      this.#walked = this.#listed = {
        pools: isSame(pools, this.#walked.pools) ? this.#walked.pools : pools,
        at: now,
      };
      return this.#listed.pools;
    }
    const listedPools = new Set(this.#listed.pools);
    const others = (await registry.tasks.newestPools(NEWEST)).filter((key) => !listedPools.has(key));
    const pools = others.length === 0 ? this.#listed.pools : [...this.#listed.pools, ...others];
    return (this.#listed = { pools, at: now }).pools;
  }

  /**
   * Those of them in which something runs, or waits to be done by a duty: at rest most have neither, and each duty would ask
   * Redis about each of them. Of many, one where something has just begun may be missing for a second.
   */
  async busy(): Promise<readonly string[]> {
    const { queue, clock } = this.#deps;
    const pools = await this.list();
    if (pools.length <= FEW) return pools;
    const now = clock.elapsed();
    if (this.#busy && now - this.#busyAt < SHARED_MS) return await this.#busy;
    const asking = queue.lists.anyIn(pools, watched);
    asking.catch(() => (this.#busy = null)); // it is asked anew
    [this.#busy, this.#busyAt] = [asking, now];
    return await asking;
  }
}
