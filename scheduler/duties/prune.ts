import type { Duty, DutyDeps } from './duty.ts';

const AT_ONCE = 1_000;

/**
 * Deletes tasks that ended longer ago than they are kept, and drops the bodies of those that asked for it once
 * nobody can come for the answer any more. Deletes browser sessions that are over.
 */
export function createPruneDuty({ config, registry, flow }: DutyDeps): Duty {
  return {
    name: 'prune',
    everyMs: config.sweepMs,
    async run(signal) {
      const untilFew = async (kind: 'task' | 'body', some: () => Promise<number>): Promise<number> => {
        let did = 0;
        for (let n = AT_ONCE; n === AT_ONCE && !signal.aborted; did += n) n = await some();
        if (did > 0) flow.bus.emit('scheduler.removed', { kind, count: did });
        return did;
      };
      const tasks = await untilFew('task', () => registry.tasks.prune(config.retentionMs, AT_ONCE));
      const bodies = await untilFew('body', () => registry.tasks.dropUnfetched(config.eventKeepMs, AT_ONCE));
      return tasks + bodies + (await registry.adminSessions.sweep());
    },
  };
}
