import { forgetCall } from '../../core/flow/forget-call.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';
import { fairShare } from '../fair-share.ts';

const WEIGHED_AT_ONCE = 1_000;
const WEIGHED_TOGETHER = 250;
/** What is over waits for the next turn after this; a single owner's turn ends well before it is given up. */
const BUDGET_MS = 20_000;
const OWNER_MS = 5_000;

interface Over {
  ownerId: string;
  mostBytes: number;
  /** What they have kept, tasks and calls that have passed together, and the latter alone. */
  bytes: number;
  passing: number;
}

/** The oldest of an owner's that have ended. @returns what the others come to, and how many were forgotten. */
async function forgetPassing(
  deps: DutyDeps,
  { ownerId, bytes, mostBytes, passing }: Over,
  isOver: () => boolean,
): Promise<{ left: number; did: number }> {
  let [left, did] = [passing, 0];
  while (!isOver()) {
    const over = Math.min(left, bytes - passing + left - mostBytes);
    const oldest = over > 0 ? await deps.registry.threads.oldestPassing(ownerId, over) : [];
    if (oldest.length === 0) break;
    for (const { id, bytes: freed } of oldest) {
      if (isOver()) break;
      await forgetCall(deps, { id, ownerId });
      left -= freed;
      did += 1;
    }
  }
  return { left: Math.max(0, left), did };
}

/**
 * Bounds what ended tasks keep, of each user and in all: over it their oldest bodies are forgotten, the rows stay. Nobody
 * loses one for what others keep, as long as they have less than those. Calls that have passed count with them, and go first: each holds
 * its conversation once more, for who comes again within a day.
 */
export function createForgetDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const { tasks, threads } = registry;
  const forgetSome = async (over: Over, signal: AbortSignal): Promise<number> => {
    const began = clock.elapsed();
    const isOver = (): boolean => signal.aborted || clock.elapsed() - began > OWNER_MS;
    const { left, did: passed } = await forgetPassing(deps, over, isOver);
    let did = passed;
    for (let n = 1; n > 0 && !isOver(); did += n)
      n = await tasks.forgetKept(over.ownerId, Math.max(0, over.mostBytes - left));
    if (did > 0) flow.bus.emit('scheduler.removed', { kind: 'kept_body', count: did });
    return did;
  };
  const weighing = new EachItem<string>({
    name: 'forget',
    idOf: (id) => id,
    act: (ids) => tasks.weighKept(ids),
    together: WEIGHED_TOGETHER,
    lanes: 1,
    clock,
    log,
  });
  const each = new EachItem<Over>({
    name: 'forget',
    idOf: ({ ownerId }) => ownerId,
    act: async ([over], signal) => (over ? await forgetSome(over, signal) : 0),
    lanes: 2,
    budgetMs: BUDGET_MS,
    clock,
    log,
  });
  return {
    name: 'forget',
    everyMs: config.sweepMs,
    async run(signal) {
      const began = clock.elapsed();
      const spent = (): boolean => signal.aborted || clock.elapsed() - began > BUDGET_MS;
      for (let n = 1; n > 0 && !spent();) {
        const unweighed = await tasks.unweighed(WEIGHED_AT_ONCE + weighing.resting);
        n = (await weighing.run(unweighed, signal)).did;
      }
      const [kept, passing] = [await tasks.keptBytes(), await threads.passingBytes()];
      for (const [ownerId, bytes] of passing) kept.set(ownerId, (kept.get(ownerId) ?? 0) + bytes);
      const mostBytes = Math.min(
        config.maxUserKeptBytes,
        fairShare(
          [...kept.values()].map((bytes) => Math.min(bytes, config.maxUserKeptBytes)),
          config.maxKeptBytes,
        ),
      );
      const over = [...kept].filter(([, bytes]) => bytes > mostBytes).sort(([, a], [, b]) => b - a);
      const owners = over.map(([ownerId, bytes]) => ({
        ...{ ownerId, bytes, passing: passing.get(ownerId) ?? 0, mostBytes: Math.floor(mostBytes) },
      }));
      return announced(deps, 'forget', await each.run(owners, signal));
    },
  };
}
