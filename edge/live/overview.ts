import { scopeOf, type Actor, type Scope } from '../../core/access.ts';
import type { Liveness } from '../../core/flow/alive/liveness.ts';
import type { OverviewPool, OverviewView } from '../../core/operator/overview.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { Recent } from '../believed/recent.ts';
import { seenPools, type PoolCounts } from '../shown/pool-counts.ts';
import type { RecentEnds } from './lately.ts';
import type { Live } from './live.ts';

/** How it goes, of what an actor may see. @throws McpctlError `unavailable`. */
export type Overview = (actor: Actor) => Promise<OverviewView>;

const KEPT_MS = 1_000;
const MOST_KEPT = 1_000;
/** Of pools, and of workers. */
const MOST_COUNTED = 500;
const MOST_SHOWN = 100;

interface OverviewDeps {
  poolCounts: (keys: readonly string[]) => Promise<ReadonlyMap<string, PoolCounts>>;
  registry: Pick<Registry, 'pools' | 'workers'>;
  recentEnds: RecentEnds;
  liveness: Pick<Liveness, 'loadPools' | 'sessions'>;
  live: Pick<Live, 'changes'>;
  clock: Clock;
}

type Scopes = Readonly<Record<'pool' | 'llm' | 'session' | 'task', Scope | null>>;

async function workersIn({ registry, liveness }: OverviewDeps, scope: Scope | null) {
  const { items, more } = scope
    ? await registry.workers.list({ scope, limit: MOST_COUNTED })
    : { items: [], more: false };
  const isThere = await liveness.sessions(items.map(({ id }) => id));
  return { total: items.length, there: items.filter(({ id }) => isThere(id)).length, more };
}

async function poolsIn(deps: OverviewDeps, actor: Actor, scope: Scope | null) {
  const list = { after: undefined, limit: MOST_COUNTED + 1 };
  const listed = scope ? await deps.registry.pools.list({ scope, ...list }) : [];
  const pools = await seenPools(deps, actor, listed.slice(0, MOST_COUNTED));
  const views = pools.map(({ view: { members, ...view } }) => ({
    ...view,
    slots: members.reduce((all, { slots }) => all + slots, 0),
  }));
  return { views, more: listed.length > MOST_COUNTED };
}

async function look(deps: OverviewDeps, actor: Actor, scopes: Scopes): Promise<OverviewView> {
  const [{ views, more }, workers, { all, byPool }] = await Promise.all([
    poolsIn(deps, actor, scopes.pool),
    workersIn(deps, scopes.session),
    deps.recentEnds(actor),
  ]);
  const sum = (of: (pool: (typeof views)[number]) => number): number =>
    views.reduce((total, pool) => total + of(pool), 0);
  const shown = views.slice(0, MOST_SHOWN).map((pool): OverviewPool => ({
    ...pool,
    firstTokenMs: byPool.get(pool.poolKey)?.firstTokenMs ?? null,
  }));
  return {
    sums: {
      pools: views.length,
      members: sum(({ size }) => size),
      serving: sum(({ activeCount }) => activeCount),
      running: sum(({ running }) => running),
      waiting: sum(({ pending }) => pending),
    },
    workers: { total: workers.total, there: workers.there },
    more: more || workers.more,
    lately: all,
    pools: shown,
  };
}

/**
 * One look a second for all who see the same. A change that pages are told of ends it before: who asks because of that is not
 * answered with what was before.
 */
export function createOverview(deps: OverviewDeps): Overview {
  const looks = new Recent<OverviewView>({ clock: deps.clock, keptMs: KEPT_MS, most: MOST_KEPT });
  return (actor) => {
    const scope = (resource: keyof Scopes): Scope | null => scopeOf(actor, 'view', resource);
    const [pool, llm, session, task] = [scope('pool'), scope('llm'), scope('session'), scope('task')];
    const scopes = { pool, llm, session, task };
    const key = JSON.stringify([deps.live.changes(), scopes]);
    return looks.recall(key) ?? looks.remember(key, look(deps, actor, scopes));
  };
}
