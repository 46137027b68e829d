import type { Presence } from '../member/presence.ts';
import type { QueueDoor } from '../queue/door.ts';
import type { Control } from '../queue/live/control.ts';
import { eachInTurn, type Missed } from '../runtime/each-in-turn.ts';
import type { Denied } from '../registry/people/denials.ts';
import type { TaskRef } from '../queue/task/fence.ts';
import type { FlowDeps } from './deps.ts';
import { endDeadClaim } from './end-dead.ts';

export interface PutOutDeps {
  flow: FlowDeps;
  queue: Pick<QueueDoor, 'running' | 'fences' | 'control'>;
  presence: Pick<Presence, 'deny' | 'drop'>;
  /** Takes the session's own user of Redis away; the scheduler's duty does it within a second where this is not given. */
  endRedisUser?: (sessionId: string) => Promise<void>;
}

const WHY = 'it may not serve here any more';
const ANSWERING = 'The worker was put out while it answered: it may not serve here any more.';

/**
 * Puts members out of their pools: Postgres has decided it (core/registry/people/denials.ts), this makes it so. In this order:
 * nothing more is claimed, whoever serves them is told, what they run is taken from them. What nobody has seen anything
 * of starts over elsewhere and counts against nobody, what was shown ends `worker_lost`. Done twice, or by two, it changes
 * nothing. @throws McpctlError `unavailable`: the scheduler's duty `deny` finishes it.
 */
export async function putOut(deps: PutOutDeps, denied: Denied): Promise<void> {
  const { queue, presence, endRedisUser } = deps;
  const { sessionId, boot, members, isOver } = denied;
  const pools = [...new Set(members.map(({ poolKey }) => poolKey))];
  await presence.deny(sessionId, members);
  // A worker that holds Redis itself registers again, and hears why not; the relay of a stream lets go of it.
  const tell = (message: Control) => queue.control.send({ session: sessionId, boot, message });
  await tell(isOver ? { kind: 'left', why: WHY } : { kind: 'registered' });
  await tell({ kind: 'again' });
  if (isOver) await endRedisUser?.(sessionId);
  if (isOver) await presence.drop(sessionId, pools);
  const ids = new Set(members.map(({ llmId }) => llmId));
  const missed = (of: Missed): void =>
    void deps.flow.bus.emit('loop.left', { loop: 'put-out', ...of, ended: 0 });
  const putOutOf = async (poolKey: string): Promise<void> => {
    const refs = await queue.running.of(poolKey);
    const fences = await queue.fences.read(refs);
    const end = async ([i, { taskId }]: [number, TaskRef]): Promise<void> => {
      const fence = fences[i];
      if (!fence || fence.state !== 'open' || fence.session !== sessionId || !ids.has(fence.llm)) return;
      await endDeadClaim(deps.flow, {
        taskId,
        poolKey,
        fence,
        why: 'denied',
        counts: 'none',
        lastWord: ANSWERING,
      });
      await tell({ kind: 'cancel', taskId, claimId: fence.claim });
    };
    await eachInTurn([...refs.entries()], end, missed);
  };
  await eachInTurn(pools, putOutOf, missed);
  if (isOver) deps.flow.bus.emit('session.left', { sessionId, why: 'denied' });
}
