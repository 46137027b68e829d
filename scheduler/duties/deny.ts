import { messageOf } from '../../core/errors.ts';
import { putOut } from '../../core/flow/put-out.ts';
import type { Denied } from '../../core/registry/denials.ts';
import type { Duty, DutyDeps } from './duty.ts';

/** So long a row that was denied is looked at: whoever denied it may have died before Redis and the worker knew. */
const RECENT_MS = 30_000;

/**
 * Puts out members that may not be there any more: their token was revoked, has expired or is bound to other pools, or
 * their pool's owner does not let them in. An edge that hears of it does the same at once; this is for what happens by
 * itself (expiry), and for an edge that died midway.
 */
export function createDenyDuty({ registry, queue, flow, log }: DutyDeps): Duty {
  /** What was put out here already, by session, llms and boot. */
  let done = new Set<string>();
  const keyOf = (denied: Denied): string => JSON.stringify(denied);
  return {
    name: 'deny',
    everyMs: 1_000,
    async run(signal) {
      const changed = await registry.denials.denyUnentitled();
      const recent = await registry.denials.deniedWithin(RECENT_MS);
      for (const denied of changed) done.delete(keyOf(denied));
      const known = new Set<string>();
      let count = 0;
      for (const denied of recent) {
        const key = keyOf(denied);
        if (done.has(key)) known.add(key);
        if (done.has(key) || signal.aborted) continue;
        try {
          await putOut({ flow, queue, presence: queue.presence }, denied);
          known.add(key);
          count += 1;
        } catch (thrown) {
          log.warn(
            { session: denied.sessionId, why: messageOf(thrown) },
            'a member could not be put out yet',
          );
        }
      }
      done = known;
      return count;
    },
  };
}
