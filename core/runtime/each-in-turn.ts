import { McpctlError } from '../errors.ts';
import { isOfOneThing } from '../trouble.ts';

/** So many in a row for which a store was away, and none that went well: it is the store. */
const AWAY_IN_A_ROW = 3;

/**
 * Does it for each, also for those after one that failed: nobody is passed over for what stands at another's keys. Of
 * short lists that are gone through again; what must be counted, rest or end has `EachItem`.
 * @throws the first failure, when all have had their turn or a store is away.
 */
export async function eachInTurn<T>(items: Iterable<T>, act: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  let awayInARow = 0;
  for (const item of items) {
    try {
      await act(item);
      awayInARow = 0;
    } catch (thrown) {
      failures.push(thrown);
      const isAway = thrown instanceof McpctlError && thrown.code === 'unavailable' && !isOfOneThing(thrown);
      awayInARow = isAway ? awayInARow + 1 : 0;
      if (awayInARow >= AWAY_IN_A_ROW) break;
    }
  }
  if (failures.length > 0) throw failures[0];
}
