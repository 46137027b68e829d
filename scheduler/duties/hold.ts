import { tellOfHold } from '../../core/flow/hold.ts';
import type { HeldMember } from '../../core/registry/people/workers.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** What an edge said in Redis lasts for 15 s; each pool is come to several times before that. */
const EVERY_MS = 2_000;

/**
 * Keeps sessions from claiming that Postgres says are held: after Redis came back empty, after an edge that held one, or let
 * it go, died midway, and for as long as the hold lasts. Whoever takes tasks for one whose mark was not right is told.
 */
export function createHoldDuty({ registry, queue, flow, clock, log }: DutyDeps): Duty {
  /** Pools that had some a round ago: of one that has none any more the marks are taken away. */
  let before = new Set<string>();
  let boots = new Map<string, string>();
  let byPool = new Map<string, HeldMember[]>();
  const keeping = new EachItem<string>({
    name: 'hold',
    idOf: (poolKey) => poolKey,
    async act([poolKey]) {
      if (poolKey === undefined) return 0;
      const members = byPool.get(poolKey) ?? [];
      const changed = await queue.presence.keepHeld(poolKey, members);
      for (const session of new Set(changed.map(({ sessionId }) => sessionId)))
        await tellOfHold({ queue }, { session, boot: boots.get(session) ?? session });
      // A relay that has not heard it, or could not read its rows when it did, still says that it serves.
      const { members: seen } = await queue.presence.members(poolKey);
      const deaf = seen.filter(({ state, sessionId }) => state === 'serving' && boots.has(sessionId));
      for (const session of new Set(deaf.map(({ sessionId }) => sessionId)))
        await queue.control.send({
          ...{ session, boot: boots.get(session) ?? session },
          message: { kind: 'registered' },
        });
      return changed.length;
    },
    clock,
    log,
  });
  return {
    name: 'hold',
    everyMs: EVERY_MS,
    async run(signal) {
      const members = await registry.workers.heldMembers();
      byPool = new Map();
      for (const { poolKey } of members) byPool.set(poolKey, []);
      for (const member of members) byPool.get(member.poolKey)?.push(member);
      boots = new Map([...boots, ...members.map(({ sessionId, boot }) => [sessionId, boot] as const)]);
      const due = [...new Set([...byPool.keys(), ...before])];
      const kept = await keeping.run(due, signal);
      before = new Set(byPool.keys());
      const sessions = new Set(members.map(({ sessionId }) => sessionId));
      boots = new Map([...boots].filter(([session]) => sessions.has(session)));
      return announced({ flow }, 'hold', kept);
    },
  };
}
