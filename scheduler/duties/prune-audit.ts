import type { Outlived } from '../../core/registry/audit/prune.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { fairShare } from '../fair-share.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const DAY_MS = 86_400_000;
/** It counts the events of each actor, and goes through all of them to do so. */
const EVERY_MS = 600_000;
/** Of one actor, of all strangers together, and in all: whoever makes many loses their own oldest, and nobody else's. */
const MOST_OF_ACTOR = 200_000;
const MOST = 5_000_000;
const AT_ONCE = 10_000;
const TOGETHER = 2_000;
const BUDGET_MS = 60_000;

/** Deletes what the audit keeps no longer: by age, and by number. What was deleted is an event of it too. */
export function createPruneAuditDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const pruning = new EachItem<Outlived>({
    ...{ name: 'prune-audit', idOf: ({ id }) => id, together: TOGETHER, lanes: 1, budgetMs: BUDGET_MS },
    act: (events) => registry.audits.prune(events),
    clock,
    log,
  });
  return {
    name: 'prune-audit',
    everyMs: EVERY_MS,
    async run(signal) {
      const began = clock.elapsed();
      const counts = await registry.audits.counts();
      const mostOfActor = Math.min(MOST_OF_ACTOR, Math.floor(fairShare(counts, MOST)));
      const total = { did: 0, left: 0, failed: 0, ended: 0 };
      for (let n = 1; n > 0 && !signal.aborted && clock.elapsed() - began < BUDGET_MS;) {
        // Those that rest are among the first: as many more are asked for.
        const kept = {
          keepMs: config.auditKeepDays * DAY_MS,
          mostOfActor,
          limit: AT_ONCE + pruning.resting,
        };
        const { did, failed, left } = await pruning.run(await registry.audits.prunable(kept), signal);
        n = did;
        total.did += did;
        total.failed += failed;
        total.left = left;
      }
      if (total.did > 0) flow.bus.emit('scheduler.removed', { kind: 'audit_event', count: total.did });
      return announced(deps, 'prune-audit', total);
    },
  };
}
