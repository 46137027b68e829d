import type { PoolIndex } from '../core/queue/pool-indexes.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** Of more pools than this answers are shared for a moment: each duty would ask for them several times a second. */
const FEW = 100;
const SHARED_MS = 1_000;
/** Between two walks over all of them; in between it is asked which pools have tasks that came since. */
const WALK_MS = 5_000;
/** By an edge's clock, which may be some seconds behind. */
const CAME_WITHIN_MS = 10_000;
const NEWEST = 500;
/** One in which something was done, or that got a task, is looked into at each question for so long; any other now and then. */
const WARM_MS = 60_000;
const COLD_MS = 10_000;
const COLD_TOGETHER = 50;

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

/** Of a pool: when it is looked into next, and until when at each question. Milliseconds of the monotonic clock. */
interface Watch {
  next: number;
  warmUntil: number;
}

/** Which pools have a task that has not ended, asked once for all duties where they are many. */
export class OpenPools {
  readonly #deps: Deps;
  #walked: Asked = { pools: [], at: -Infinity };
  #listed: Asked = { pools: [], at: -Infinity };
  #busy: Promise<readonly string[]> | null = null;
  #busyAt = -Infinity;
  readonly #watches = new Map<string, Watch>();

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
      this.#walked = this.#listed = { pools, at: now };
      const open = new Set(pools);
      for (const key of this.#watches.keys()) if (!open.has(key)) this.#watches.delete(key);
      return this.#listed.pools;
    }
    const page = { withinMs: CAME_WITHIN_MS, limit: NEWEST };
    const newest = await registry.tasks.newestPools(page);
    for (const key of newest) this.#watches.set(key, { next: now, warmUntil: now + WARM_MS });
    const listedPools = new Set(this.#listed.pools);
    const others = newest.filter((key) => !listedPools.has(key));
    const pools = others.length === 0 ? this.#listed.pools : [...this.#listed.pools, ...others];
    return (this.#listed = { pools, at: now }).pools;
  }

  /**
   * Those of them in which something runs, or waits to be done by a duty: at rest most have neither, and each duty would ask
   * Redis about each of them. Of many, one where something has just begun may be missing for a second, and for ten where
   * nothing had happened for a minute.
   */
  async busy(): Promise<readonly string[]> {
    const { clock } = this.#deps;
    const pools = await this.list();
    if (pools.length <= FEW) return pools;
    const now = clock.elapsed();
    if (this.#busy && now - this.#busyAt < SHARED_MS) return await this.#busy;
    const asking = this.#ask(pools, now);
    asking.catch(() => (this.#busy = null)); // it is asked anew
    [this.#busy, this.#busyAt] = [asking, now];
    return await asking;
  }

  /** A cold one is asked about among others, and by itself at the next question where any of those has something. */
  async #ask(pools: readonly string[], now: number): Promise<readonly string[]> {
    const { lists } = this.#deps.queue;
    const isWarm = (key: string): boolean => (this.#watches.get(key)?.warmUntil ?? 0) > now;
    const due = pools.filter((key) => (this.#watches.get(key)?.next ?? now) <= now);
    const cold = due.filter((key) => !isWarm(key));
    const [some, maybe] = await Promise.all([
      lists.anyIn(due.filter(isWarm), { indexes: watched, together: 1 }),
      lists.anyIn(cold, { indexes: watched, together: COLD_TOGETHER }),
    ]);
    // Not one that has got a task meanwhile.
    for (const key of cold) if (!isWarm(key)) this.#watches.set(key, { next: now + COLD_MS, warmUntil: 0 });
    for (const key of maybe) this.#watches.set(key, { next: now, warmUntil: now + COLD_MS });
    for (const key of some) this.#watches.set(key, { next: now, warmUntil: now + WARM_MS });
    return [...some, ...maybe];
  }
}
