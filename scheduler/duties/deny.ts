import { putOut } from '../../core/flow/put-out.ts';
import type { Denied } from '../../core/registry/people/denials.ts';
import { pause } from '../../core/runtime/clock.ts';
import { EachItem, type Round } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** So long a row that was denied is looked at: whoever denied it may have died before Redis and the worker knew. */
const RECENT_MS = 30_000;
const TOGETHER = 100;
const EVERY_MS = 1_000;

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
  const nothing: Round = { did: 0, left: 0, failed: 0, ended: 0 };
  /** A round that Redis, or a worker, is still to be told in: nobody waits for it to be denied in Postgres. */
  let telling: Promise<Round> | null = null;
  const tell = (due: readonly Denied[], signal: AbortSignal): Promise<Round> =>
    (telling ??= putting.run(due, signal).finally(() => (telling = null)));
  return {
    name: 'deny',
    everyMs: EVERY_MS,
    async run(signal) {
      const denied = await denying.run(await registry.denials.unentitled(), signal);
      const recent = await registry.denials.deniedWithin(RECENT_MS);
      const keys = new Set(recent.map(keyOf));
      done = new Set([...done].filter((key) => keys.has(key)));
      const due = recent.filter((one) => !done.has(keyOf(one)));
      const put = await Promise.race([tell(due, signal), pause(EVERY_MS, signal).then(() => nothing)]);
      return announced({ flow }, 'deny', { ...denied, did: 0 }, put);
    },
  };
}
