import type { LivePool } from '../../core/flow/alive/liveness.ts';
import { isServed } from '../../core/flow/alive/served.ts';
import { sleepersIn, type Sleeper } from '../../core/flow/alive/sleepers.ts';
import { unfitOf } from '../../core/flow/take-back.ts';
import { refOf } from '../../core/flow/deps.ts';
import { everything } from '../../core/access.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** Looked at per pool: one task that waits is enough. */
const MOST = 200;
/** Pools that are looked at in one query. */
const TOGETHER = 50;
const FIRST_MS = 10_000;
const LONGEST_MS = 5 * 60_000;

/** How often a pool was tried since it last had somebody, or nothing, to serve. */
interface Tried {
  times: number;
  notBefore: number;
}

/**
 * Wakes pools in which tasks wait that no edge waits for, and nobody is active: each try a while after the last, from
 * 10 s to 5 min. Where callers wait too, their edge has asked already, and a wake that is under way, or has just
 * failed, is left alone.
 */
export function createWakeDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow, pools, clock, log } = deps;
  const tried = new Map<string, Tried>();

  const wakeOne = async (pool: LivePool): Promise<boolean> => {
    const sleepers = await wantedIn(deps, pool);
    if (sleepers.length === 0) {
      tried.delete(pool.key);
      return false;
    }
    const { times, notBefore } = tried.get(pool.key) ?? { times: 0, notBefore: -Infinity };
    if (clock.elapsed() < notBefore) return false;
    const states = await queue.wakes.read(sleepers.map(({ llmId }) => llmId));
    if (states.some(({ waking, failed }) => waking !== null || failed !== null)) return false;
    const { llmId: wakeId, worker } = sleepers[times % sleepers.length] ?? {};
    if (!worker || wakeId === undefined) return false;
    const waitMs = Math.min(FIRST_MS * 2 ** times, LONGEST_MS);
    tried.set(pool.key, { times: times + 1, notBefore: clock.elapsed() + waitMs });
    await queue.control.send({ ...worker, message: { kind: 'wake', wakeId } });
    return true;
  };
  const each = new EachItem<string>({
    name: 'wake',
    idOf: (key) => key,
    act: async (keys) => {
      let did = 0;
      for (const pool of await flow.liveness.loadPools(keys)) if (await wakeOne(pool)) did += 1;
      return did;
    },
    together: TOGETHER,
    clock,
    log,
  });
  /** Of many pools only those are looked into where a row says that its llm sleeps: that follows what is announced. */
  const withSleepers = async (open: readonly string[]): Promise<readonly string[]> => {
    if (open.length <= TOGETHER) return open;
    const sleeping = await registry.llms.sleepingPools();
    return open.filter((key) => sleeping.has(key));
  };
  return {
    name: 'wake',
    everyMs: 1_000,
    async run(signal) {
      const some = await withSleepers(await pools.list());
      const isAmong = new Set(some);
      for (const key of tried.keys()) if (!isAmong.has(key)) tried.delete(key);
      return announced(deps, 'wake', await each.run(some, signal));
    },
  };
}

/** Members that sleep and could have a task which waits because nobody who could serves. */
async function wantedIn({ registry, queue }: DutyDeps, pool: LivePool): Promise<Sleeper[]> {
  if (sleepersIn(pool, null).length === 0) return [];
  const rows = await registry.tasks.list({
    scope: everything,
    pool: pool.key,
    statuses: ['pending'],
    limit: MOST,
  });
  const fences = await queue.fences.read(rows.map(refOf));
  const wanted = new Map<string, Sleeper>();
  rows.forEach((row, at) => {
    const fence = fences[at];
    if (fence?.state !== 'open' || fence.claim !== '') return;
    if (isServed(pool, row.pin, unfitOf(fence))) return;
    for (const sleeper of sleepersIn(pool, row.pin, unfitOf(fence))) wanted.set(sleeper.llmId, sleeper);
  });
  return [...wanted.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
