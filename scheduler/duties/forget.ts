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
}

/**
 * Bounds what ended tasks keep, of each user and in all: over it their oldest bodies are forgotten, the rows stay. Nobody
 * loses one for what others keep, as long as they have less than those.
 */
export function createForgetDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const { tasks } = registry;
  const forgetSome = async ({ ownerId, mostBytes }: Over, signal: AbortSignal): Promise<number> => {
    const began = clock.elapsed();
    let did = 0;
    for (let n = 1; n > 0 && !signal.aborted && clock.elapsed() - began < OWNER_MS; did += n)
      n = await tasks.forgetKept(ownerId, mostBytes);
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
      const kept = await tasks.keptBytes();
      const mostBytes = Math.min(
        config.maxUserKeptBytes,
        fairShare(
          [...kept.values()].map((bytes) => Math.min(bytes, config.maxUserKeptBytes)),
          config.maxKeptBytes,
        ),
      );
      const over = [...kept].filter(([, bytes]) => bytes > mostBytes).sort(([, a], [, b]) => b - a);
      const owners = over.map(([ownerId]) => ({ ownerId, mostBytes: Math.floor(mostBytes) }));
      return announced(deps, 'forget', await each.run(owners, signal));
    },
  };
}
