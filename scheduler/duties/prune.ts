import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const AT_ONCE = 1_000;
const TOGETHER = 250;
/** What is older waits for the next turn: nobody is in a hurry for it. */
const BUDGET_MS = 20_000;

type Kind = 'task' | 'body' | 'idempotency key' | 'browser session' | 'device login' | 'join code';

/**
 * Deletes tasks that ended longer ago than they are kept, and drops the bodies of those that asked for it once
 * nobody can come for the answer any more. Deletes browser sessions, logins of programs and join codes that
 * are over.
 */
export function createPruneDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const over = (act: (ids: readonly string[]) => Promise<number>) =>
    new EachItem<string>({ name: 'prune', idOf: (id) => id, act, together: TOGETHER, lanes: 1, clock, log });
  const deleting = over((ids) => registry.tasks.deleteEnded(ids));
  const dropping = over((ids) => registry.tasks.dropUnfetched(ids));
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
      await untilFew('idempotency key', () => registry.tasks.pruneKeys(AT_ONCE));
      await untilFew('browser session', () => registry.adminSessions.sweep());
      await untilFew('device login', () => registry.deviceLogins.sweep());
      await untilFew('join code', () => registry.joinCodes.sweep());
      return announced(deps, 'prune', total);
    },
  };
}
