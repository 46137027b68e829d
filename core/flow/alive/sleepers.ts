import { seenWithinMs } from '../../member/presence.ts';
import { takersIn, type LiveLlm, type LivePool } from './liveness.ts';

/** A member whose backend sleeps and whose worker can wake it. */
export interface Sleeper {
  llmId: string;
  name: string;
  /** The worker to tell; null while Redis has just lost it, and it has not announced itself yet. */
  worker: { session: string; boot: string } | null;
}

/**
 * The members that may be woken for a task, by name: all who choose one choose the same. One that has just been
 * woken counts too, until its row says that it serves.
 * @param not llm ids that may not have the task.
 */
export function sleepersIn(pool: LivePool, pinId: string | null, not: readonly string[] = []): Sleeper[] {
  return takersIn(pool)
    .filter((m) => (pinId === null || m.row.id === pinId) && !not.includes(m.row.id))
    .flatMap((m) => sleeperOf(m, pool.fresh) ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What a member announces comes first, its row follows within seconds. */
function sleeperOf({ row, status, announced }: LiveLlm, fresh: boolean): Sleeper | null {
  if (row.kind !== 'virtual' || status === 'inactive' || row.hold !== null) return null;
  const seen = announced.find((a) => a.ageMs < seenWithinMs && a.sessionId === row.providerSessionId);
  const sleeps = status === 'hibernating' || seen?.state === 'asleep';
  const there = seen ? seen.state === 'asleep' || seen.state === 'serving' : fresh;
  if (!sleeps || !there) return null;
  const worker = seen ? { session: seen.sessionId, boot: seen.boot } : null;
  return { llmId: row.id, name: row.name, worker };
}
