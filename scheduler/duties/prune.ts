import { EachItem } from '../../core/runtime/each-item.ts';
import { fairShare } from '../fair-share.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const AT_ONCE = 1_000;
const TOGETHER = 250;
/** Who has how many tasks is asked of Postgres no more often: it walks through an index of all. */
const COUNT_EVERY_MS = 600_000;
/** What is older waits for the next turn: nobody is in a hurry for it. */
const BUDGET_MS = 20_000;

type Kind = 'task' | 'body' | 'idempotency key' | 'browser session' | 'device login' | 'join code';

/** What is more than is kept: of one user, or of all together, then of those who have most, until they are alike. */
function createSurplus({ config, registry: { tasks }, clock }: DutyDeps) {
  const { maxUserKeptTasks: ofUser, maxKeptTasks: inAll, eventKeepMs } = config;
  let [over, countAt]: [{ ownerId: string; left: number }[], number] = [[], -Infinity];
  const count = async (): Promise<void> => {
    const counts = [...(await tasks.countedOf(Math.min(ofUser, inAll)))];
    const amounts = counts.map(([, amount]) => Math.min(amount, ofUser));
    const most = Math.floor(Math.min(ofUser, fairShare(amounts, inAll)));
    over = counts.flatMap(([ownerId, amount]) => (amount > most ? [{ ownerId, left: amount - most }] : []));
    countAt = clock.elapsed() + COUNT_EVERY_MS;
  };
  return {
    /** Some of each user's, so that who has most is not in the way of the others. @returns how many were deleted. */
    async some(
      deleted: (ids: readonly string[]) => Promise<number>,
      { spent, resting }: { spent: () => boolean; resting: number },
    ): Promise<number> {
      if (clock.elapsed() >= countAt) await count();
      let did = 0;
      for (const one of over) {
        if (one.left <= 0 || spent()) continue;
        // Who has just had an answer can still take it up again.
        const n = await deleted(
          await tasks.oldestOf(one.ownerId, eventKeepMs, Math.min(one.left, AT_ONCE) + resting),
        );
        one.left = n === 0 ? 0 : one.left - n;
        did += n;
      }
      return did;
    },
  };
}

/**
 * Deletes tasks that ended longer ago than they are kept, and the oldest of who has too many. Drops the bodies of those
 * that asked for it once nobody can come for the answer any more. Deletes browser sessions, logins of programs and join
 * codes that are over.
 */
export function createPruneDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const over = (act: (ids: readonly string[]) => Promise<number>) =>
    new EachItem<string>({ name: 'prune', idOf: (id) => id, act, together: TOGETHER, lanes: 1, clock, log });
  const deleting = over((ids) => registry.tasks.deleteEnded(ids));
  const dropping = over((ids) => registry.tasks.dropUnfetched(ids));
  const surplus = createSurplus(deps);
  return {
    name: 'prune',
    everyMs: config.sweepMs,
    async run(signal) {
      const began = clock.elapsed();
      const spent = (): boolean => signal.aborted || clock.elapsed() - began > BUDGET_MS;
      const total = { did: 0, left: 0, failed: 0, ended: 0 };
      /** One kind that cannot be removed is no reason to keep the others. */
      const untilFew = async (kind: Kind, some: () => Promise<number>): Promise<void> => {
        let did = 0;
        try {
          let n = 1;
          for (; n > 0 && !spent(); did += n) n = await some();
          if (n > 0) total.left += 1; // at least
        } catch (thrown) {
          total.failed += 1;
          log.warn({ kind, err: thrown }, 'what is over could not be removed; trying again later');
        }
        total.did += did;
        if (did > 0 && (kind === 'task' || kind === 'body'))
          flow.bus.emit('scheduler.removed', { kind, count: did });
      };
      const round = async (each: EachItem<string>, ids: readonly string[]): Promise<number> => {
        const { did, failed } = await each.run(ids, signal);
        total.failed += failed;
        return did;
      };
      await untilFew('task', async () =>
        round(deleting, await registry.tasks.prunable(config.retentionMs, AT_ONCE + deleting.resting)),
      );
      await untilFew('body', async () =>
        round(dropping, await registry.tasks.unfetched(config.eventKeepMs, AT_ONCE + dropping.resting)),
      );
      await untilFew('task', () =>
        surplus.some((ids) => round(deleting, ids), { spent, resting: deleting.resting }),
      );
      await untilFew('idempotency key', () => registry.tasks.pruneKeys(AT_ONCE));
      await untilFew('browser session', () => registry.adminSessions.sweep());
      await untilFew('device login', () => registry.deviceLogins.sweep());
      await untilFew('join code', () => registry.joinCodes.sweep());
      return announced(deps, 'prune', total);
    },
  };
}
