import type { Duty, DutyDeps } from './duty.ts';

const AT_ONCE = 1_000;

/**
 * Deletes tasks that ended longer ago than they are kept, and drops the bodies of those that asked for it once
 * nobody can come for the answer any more.
 */
export function createPruneDuty({ config, registry }: DutyDeps): Duty {
  return {
    name: 'prune',
    everyMs: config.sweepMs,
    async run(signal) {
      let did = 0;
      for (let n = AT_ONCE; n === AT_ONCE && !signal.aborted; did += n)
        n = await registry.tasks.prune(config.retentionMs, AT_ONCE);
      for (let n = AT_ONCE; n === AT_ONCE && !signal.aborted; did += n)
        n = await registry.tasks.dropUnfetched(config.eventKeepMs, AT_ONCE);
      return did;
    },
  };
}
