import type { Duty, DutyDeps } from './duty.ts';
import { createClearJobsDuty } from './clear-jobs.ts';
import { createClearQueuesDuty } from './clear-queues.ts';
import { createDenyDuty } from './deny.ts';
import { createDropEventsDuty } from './drop-events.ts';
import { createEpochDuty } from './epoch.ts';
import { createExpireDuty } from './expire.ts';
import { createForgetDuty } from './forget.ts';
import { createFormerDuty } from './former.ts';
import { createHandBackDuty } from './hand-back.ts';
import { createHoldDuty } from './hold.ts';
import { createHostedToolsDuty } from './hosted-tools.ts';
import { createOrphansDuty } from './orphans.ts';
import { createPruneDuty } from './prune.ts';
import { createPruneAuditDuty } from './prune-audit.ts';
import { createReapDuty } from './reap.ts';
import { createRedisUsersDuty } from './redis-users.ts';
import { createReconcileDuty } from './reconcile.ts';
import { createRewrapSecretsDuty } from './rewrap-secrets.ts';
import { createSettleDuty } from './settle.ts';
import { createSweepLlmsDuty } from './sweep-llms.ts';
import { createUnentitledDuty } from './unentitled.ts';
import { createThreadsDuty } from './threads.ts';
import { createWakeDuty } from './wake.ts';

/** Everything that the leader does. */
export function createDuties(deps: DutyDeps): Duty[] {
  const reconcile = createReconcileDuty(deps);
  const makers = [
    createReapDuty,
    createHandBackDuty,
    createSettleDuty,
    createClearJobsDuty,
    createClearQueuesDuty,
    createExpireDuty,
    createOrphansDuty,
    createWakeDuty,
    createSweepLlmsDuty,
    createDenyDuty,
    createHoldDuty,
    createFormerDuty,
    createUnentitledDuty,
    createRedisUsersDuty,
    createPruneDuty,
    createPruneAuditDuty,
    createForgetDuty,
    createDropEventsDuty,
    createThreadsDuty,
    createRewrapSecretsDuty,
    createHostedToolsDuty,
  ];
  const mending = { run: reconcile.runAll, renew: reconcile.renew };
  return [createEpochDuty(deps, mending), reconcile, ...makers.map((make) => make(deps))];
}
