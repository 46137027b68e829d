import { seenWithinMs, type LiveLlm, type LivePool } from './liveness.ts';

/**
 * Is anybody there to take a task?
 * @param excluded llm ids that failed it already, or cannot do it.
 */
export function isServed(pool: LivePool, pinId: string | null, excluded: readonly string[] = []): boolean {
  return pool.members.some(
    (m) => (pinId === null || m.row.id === pinId) && !excluded.includes(m.row.id) && serves(m, pool.fresh),
  );
}

/** The row says active; and unless Redis has just lost everything, its worker was seen a moment ago. */
function serves(member: LiveLlm, fresh: boolean): boolean {
  if (member.status !== 'active') return false;
  if (fresh) return true;
  return member.announced.some((a) => a.state === 'serving' && a.ageMs < seenWithinMs);
}
