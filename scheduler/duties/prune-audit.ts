import { fairShare } from '../fair-share.ts';
import type { Duty, DutyDeps } from './duty.ts';

const DAY_MS = 86_400_000;
/** It counts the events of each actor, and goes through all of them to do so. */
const EVERY_MS = 600_000;
/** Of one actor, of all strangers together, and in all: whoever makes many loses their own oldest, and nobody else's. */
const MOST_OF_ACTOR = 200_000;
const MOST = 5_000_000;
const AT_ONCE = 10_000;
const BUDGET_MS = 60_000;

/** Deletes what the audit keeps no longer: by age, and by number. What was deleted is an event of it too. */
export function createPruneAuditDuty({ config, registry, flow, clock }: DutyDeps): Duty {
  return {
    name: 'prune-audit',
    everyMs: EVERY_MS,
    async run(signal) {
      const began = clock.elapsed();
      const counts = await registry.audits.counts();
      const mostOfActor = Math.min(MOST_OF_ACTOR, Math.floor(fairShare(counts, MOST)));
      const kept = { keepMs: config.auditKeepDays * DAY_MS, mostOfActor, limit: AT_ONCE };
      let did = 0;
      for (let n = 1; n > 0 && !signal.aborted && clock.elapsed() - began < BUDGET_MS; did += n)
        n = await registry.audits.prune(kept);
      if (did > 0) flow.bus.emit('scheduler.removed', { kind: 'audit_event', count: did });
      return did;
    },
  };
}
