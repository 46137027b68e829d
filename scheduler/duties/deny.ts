import { putOut } from '../../core/flow/put-out.ts';
import type { Denied } from '../../core/registry/people/denials.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** So long a row that was denied is looked at: whoever denied it may have died before Redis and the worker knew. */
const RECENT_MS = 30_000;
const TOGETHER = 100;

/**
 * Puts out members that may not be there any more: their token was revoked, has expired or is bound to other pools, or
 * their pool's owner does not let them in. An edge that hears of it does the same at once; this is for what happens by
 * itself (expiry), and for an edge that died midway.
 */
export function createDenyDuty({ registry, queue, flow, clock, log }: DutyDeps): Duty {
  /** What was put out here already, by session, llms and boot. */
  let done = new Set<string>();
  const keyOf = (denied: Denied): string => JSON.stringify(denied);
  const denying = new EachItem<string>({
    name: 'deny',
    idOf: (sessionId) => sessionId,
    async act(sessionIds) {
      const changed = await registry.denials.denyUnentitledOf(sessionIds);
      for (const denied of changed) done.delete(keyOf(denied));
      return changed.length;
    },
    together: TOGETHER,
    lanes: 1,
    clock,
    log,
  });
  const putting = new EachItem<Denied>({
    name: 'deny',
    idOf: ({ sessionId, boot }) => `${sessionId} ${boot}`,
    async act([denied]) {
      if (!denied) return 0;
      await putOut({ flow, queue, presence: queue.presence }, denied);
      done.add(keyOf(denied));
      return 1;
    },
    clock,
    log,
  });
  return {
    name: 'deny',
    everyMs: 1_000,
    async run(signal) {
      const denied = await denying.run(await registry.denials.unentitled(), signal);
      const recent = await registry.denials.deniedWithin(RECENT_MS);
      const keys = new Set(recent.map(keyOf));
      done = new Set([...done].filter((key) => keys.has(key)));
      const due = recent.filter((one) => !done.has(keyOf(one)));
      const put = await putting.run(due, signal);
      return announced({ flow }, 'deny', { ...denied, did: 0 }, put);
    },
  };
}
