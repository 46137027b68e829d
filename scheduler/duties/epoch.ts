import type { EventMap } from '../../core/task/events.ts';
import { isHeld } from '../../core/trouble.ts';
import type { Duty, DutyDeps } from './duty.ts';

const EVERY_MS = 250;
/** Counts are noted in Postgres this seldom: it is asked only when a leader begins. */
const NOTED_EVERY = 20;

/** What is done about everything that is open. */
interface Mending {
  /** What Redis has lost is laid down again. */
  run: (signal: AbortSignal) => Promise<number>;
  /** The same, and what might have been claimed in writes that are lost gets a new epoch. */
  renew: (signal: AbortSignal) => Promise<number>;
}

/**
 * Notices a Redis that is new, came back empty, or went back in time: another process than was seen last, or one that counts
 * less than somebody has seen. Then whatever is open is compared at once, each task that waits gets a new epoch, from
 * Postgres, and only then is this Redis trusted: until then members of its own do not claim (core/queue/live/generation.ts).
 *
 * The mark `epoch` holds the time of that: while it is younger than a lease, a missing key proves nothing and Postgres
 * decides who is live (docs/spec.md §2). Everyone reads both, only the leader sets them.
 */
export function createEpochDuty({ queue, registry, flow }: DutyDeps, mending: Mending): Duty {
  const { namespace } = queue.keys;
  const { generation } = queue;
  /** The highest count that this leader knows of; null before it has asked. */
  let highest: number | null = null;
  let noted = 0;

  /** One that cannot be noted, as somebody holds the row, is no reason to trust nothing: the next one is. */
  const noteIn = async (count: number): Promise<void> => {
    await registry.redisGenerations.note(namespace, count).catch((thrown: unknown) => {
      if (!isHeld(thrown)) throw thrown;
    });
    noted = count;
  };
  const note = async (count: number): Promise<void> => {
    highest = count;
    if (count >= noted + NOTED_EVERY) await noteIn(count);
  };
  /** In Postgres first: a leader that dies here leaves a Redis that seems older, and the next one goes through it again. */
  const begin = async (least: number): Promise<void> => {
    const count = least + 1;
    await noteIn(count);
    await generation.trust(count);
    highest = count;
  };
  const goThrough = async (how: EventMap['redis.went_back']['how'], signal: AbortSignal): Promise<number> => {
    flow.bus.emit('redis.went_back', { how });
    await generation.mark();
    return await (how === 'empty' ? mending.run : mending.renew)(signal);
  };

  return {
    name: 'epoch',
    everyMs: EVERY_MS,
    async run(signal) {
      highest ??= await registry.redisGenerations.highest(namespace);
      const { is, count } = await generation.count(highest);
      const isMarked = await generation.isMarked();
      if (is === 'same' && isMarked) {
        await note(count);
        return 0;
      }
      // A Redis in which nobody has counted yet: its first start, or an upgrade to this release.
      const isKept = is === 'new' && isMarked && highest === 0;
      const how = isMarked ? (is === 'other' ? 'other' : 'older') : 'empty';
      const did = isKept ? 0 : 1 + (await goThrough(how, signal));
      if (!signal.aborted) await begin(Math.max(highest, count));
      return did;
    },
  };
}
