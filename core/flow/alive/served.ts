import { seenWithinMs } from '../../member/presence.ts';
import { takersIn, type LiveLlm, type LivePool } from './liveness.ts';

/** Of whom a task may be. @param excluded llm ids that failed it already, or cannot do it. */
const candidates = (pool: LivePool, pinId: string | null, excluded: readonly string[]): LiveLlm[] =>
  takersIn(pool).filter((m) => (pinId === null || m.row.id === pinId) && !excluded.includes(m.row.id));

/** Is anybody there to take a task? */
export function isServed(pool: LivePool, pinId: string | null, excluded: readonly string[] = []): boolean {
  return candidates(pool, pinId, excluded).some((member) => serves(member, pool.fresh));
}

/** May somebody be there again at once, whose stream was lost less than a second ago? */
export function mayReturn(pool: LivePool, pinId: string | null, excluded: readonly string[] = []): boolean {
  return candidates(pool, pinId, excluded).some(({ returning }) => returning);
}

/**
 * The row says active, and what the worker says of itself is believed at once: that it takes nothing, however young Redis
 * is. Its silence is held against it unless Redis has just lost everything.
 */
function serves({ row, status, announced }: LiveLlm, fresh: boolean): boolean {
  if (status !== 'active' || row.hold !== null) return false;
  const seen = announced.filter(({ ageMs }) => ageMs < seenWithinMs);
  return seen.length === 0 ? fresh : seen.some(({ state }) => state === 'serving');
}
