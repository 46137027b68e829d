import { everything, NOBODY, scopeOf, type Actor, type Scope } from '../../core/access.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { LatelySeen } from '../../core/registry/usage.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { Recent } from '../believed/recent.ts';
import type { Live } from './live.ts';

/** What ended in the last minutes of the tasks that an actor may see. @throws McpctlError `unavailable`. */
export type RecentEnds = (actor: Actor) => Promise<LatelySeen>;

const KEPT_MS = 1_000;
const MOST_KEPT = 1_000;

const nobodys: Scope = { ...everything, ownerId: NOBODY };

/** One look a second for all who see the same, and a new one once pages were told of a change. */
export function createRecentEnds({
  registry: { usages },
  live,
  clock,
}: {
  registry: Pick<Registry, 'usages'>;
  live: Pick<Live, 'changes'>;
  clock: Clock;
}): RecentEnds {
  const looks = new Recent<LatelySeen>({ clock, keptMs: KEPT_MS, most: MOST_KEPT });
  return (actor) => {
    const scope = scopeOf(actor, 'view', 'task') ?? nobodys;
    const key = JSON.stringify([live.changes(), scope]);
    return looks.recall(key) ?? looks.remember(key, usages.lately(scope));
  };
}
