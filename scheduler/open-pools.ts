import type { Registry } from '../core/registry/registry.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** Of more pools than this the answer is shared for a moment: each duty would ask Postgres for it several times a second. */
const FEW = 100;
const SHARED_MS = 1_000;

/** Which pools have a task that has not ended, asked once for all duties where they are many. */
export class OpenPools {
  readonly #deps: { registry: Pick<Registry, 'tasks'>; clock: Clock };
  #known: { pools: readonly string[]; at: number } | undefined;

  constructor(deps: { registry: Pick<Registry, 'tasks'>; clock: Clock }) {
    this.#deps = deps;
  }

  async list(): Promise<readonly string[]> {
    const { registry, clock } = this.#deps;
    const now = clock.elapsed();
    if (this.#known && this.#known.pools.length > FEW && now - this.#known.at < SHARED_MS)
      return this.#known.pools;
    const pools = await registry.tasks.openPools();
    this.#known = { pools, at: now };
    return pools;
  }
}
