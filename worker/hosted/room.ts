import type { HostedServer } from '../sources/registry.ts';

/** Children of one worker; what there are more is for another hosted worker. */
const MOST_HERE = 32;
/** Of one user: what others need is begun at once, and puts nothing of anybody's out. */
const MOST_OF_ONE = 24;

/** What becomes of a server that is not here: there is room, or none, or what is in its place goes. */
export type Room = 'free' | 'full' | 'owner_full' | { insteadOf: string };

type Placed = Pick<HostedServer, 'id' | 'ownerId'>;

/**
 * Whether a worker begins one more server. Owners take turns: who has more here than another would have gives way to them with the last of
 * theirs, so that nobody keeps everybody else out.
 * @param here what it runs, of each owner those first that were begun first.
 * @param isPatient no other worker has taken it meanwhile.
 */
export function roomFor(
  { ownerId }: Placed,
  { here, isPatient }: { here: readonly Placed[]; isPatient: boolean },
): Room {
  const counts = new Map<string, number>();
  for (const one of here) counts.set(one.ownerId, (counts.get(one.ownerId) ?? 0) + 1);
  const own = counts.get(ownerId) ?? 0;
  if (own >= MOST_OF_ONE) return 'owner_full';
  if (here.length < MOST_HERE) return 'free';
  const most = Math.max(...counts.values());
  const last = here.findLast((one) => counts.get(one.ownerId) === most);
  return isPatient && last && most > own + 1 ? { insteadOf: last.id } : 'full';
}
