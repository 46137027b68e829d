import type { TaskRef } from '../../core/queue/task/fence.ts';
import { endedEvents, openEvents, type Weighed } from '../event-scales.ts';
import { fairShare } from '../fair-share.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const EVERY_MS = 10_000;
/** What is over waits for the next turn after this. */
const BUDGET_MS = 20_000;
/** Where nothing was over, it is weighed again when Redis has grown by such a share of the cap, or after such a time. */
const GROWN = 1 / 20;
const CALM_MS = 60_000;

/** How much more each owner has than the most that one may. */
class Excess {
  readonly #left: Map<string, number>;

  constructor(sums: ReadonlyMap<string, number>, most: number) {
    this.#left = new Map([...sums].flatMap(([id, bytes]) => (bytes > most ? [[id, bytes - most]] : [])));
  }

  owners(): Set<string> {
    return new Set([...this.#left].flatMap(([id, bytes]) => (bytes > 0 ? [id] : [])));
  }

  /** Those of a page that go, as long as their owners have too much; `share` of what they weigh is taken off. */
  take(page: readonly Weighed[], share: number): TaskRef[] {
    return page.flatMap(({ ref, ownerId, bytes }) => {
      const left = this.#left.get(ownerId) ?? 0;
      if (bytes === 0 || left <= 0) return [];
      this.#left.set(ownerId, left - bytes * share);
      return [ref];
    });
  }
}

/**
 * Bounds what the events of tasks weigh in Redis, of each owner and in all: over it those of ended tasks are forgotten
 * early, the oldest first, and where that is not enough the older half of what runs. Who has less than the others
 * loses nothing. As long as all of Redis holds less than the caps, nothing is weighed.
 */
export function createDropEventsDuty(deps: DutyDeps): Duty {
  const { config, queue, flow, clock } = deps;
  let calm = { at: -Infinity, used: 0 };
  /** What each owner's events weigh together. */
  const weighAll = async (spent: () => boolean): Promise<Map<string, number>> => {
    const sums = new Map<string, number>();
    for (const pages of [endedEvents(deps, spent), openEvents(deps, spent)])
      for await (const page of pages)
        for (const { ownerId, bytes } of page) sums.set(ownerId, (sums.get(ownerId) ?? 0) + bytes);
    return sums;
  };
  const shed = async (excess: Excess, spent: () => boolean): Promise<number> => {
    let count = 0;
    const done = (): boolean => spent() || excess.owners().size === 0;
    for await (const page of endedEvents(deps, done, excess.owners())) {
      const going = excess.take(page, 1);
      await Promise.all(going.map((ref) => queue.dispatch.forgetEvents(ref)));
      count += going.length;
    }
    for await (const page of openEvents(deps, done)) {
      const going = excess.take(page, 1 / 2);
      await queue.events.halve(going);
      count += going.length;
    }
    return count;
  };
  return {
    name: 'drop-events',
    everyMs: Math.min(EVERY_MS, config.sweepMs),
    async run(signal) {
      const began = clock.elapsed();
      const spent = (): boolean => signal.aborted || clock.elapsed() - began > BUDGET_MS;
      const { used, most } = await queue.events.memory();
      const inAll = Math.min(config.maxEventMemory, most / 2);
      const ofUser = Math.min(config.maxUserEventMemory, inAll);
      const isCalm = used < calm.used + inAll * GROWN && began < calm.at + CALM_MS;
      if (used <= ofUser || isCalm) return 0;
      const sums = await weighAll(spent);
      const amounts = [...sums.values()].map((bytes) => Math.min(bytes, ofUser));
      const excess = new Excess(sums, Math.min(ofUser, fairShare(amounts, inAll)));
      if (excess.owners().size === 0) calm = { at: clock.elapsed(), used };
      const count = await shed(excess, spent);
      if (count > 0) flow.bus.emit('scheduler.removed', { kind: 'events', count });
      // Owners who still have too much: the budget was spent, or what runs cannot be halved any more.
      return announced(deps, 'drop-events', { did: count, left: excess.owners().size, failed: 0, ended: 0 });
    },
  };
}
