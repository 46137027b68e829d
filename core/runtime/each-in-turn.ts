import { saysAway } from '../trouble.ts';

/** So many in a row for which a store was away, and none that went well: it is the store. */
const AWAY_IN_A_ROW = 3;

/** What of a list was not done: not come to, as a store was away, or failed by itself. */
export interface Missed {
  left: number;
  failed: number;
}

/**
 * Does it for each, also for those after one that failed: nobody is passed over for what stands at another's keys. Of
 * short lists that are gone through again; what must rest or end has `EachItem`.
 * @param missed is told how many were not done, where some were not.
 * @throws the first failure, when all have had their turn or a store is away.
 */
export async function eachInTurn<T>(
  items: readonly T[],
  act: (item: T) => Promise<unknown>,
  missed?: (missed: Missed) => void,
): Promise<void> {
  const failures: unknown[] = [];
  let [awayInARow, turns] = [0, 0];
  for (const item of items) {
    turns += 1;
    try {
      await act(item);
      awayInARow = 0;
    } catch (thrown) {
      failures.push(thrown);
      awayInARow = saysAway(thrown) ? awayInARow + 1 : 0;
      if (awayInARow >= AWAY_IN_A_ROW) break;
    }
  }
  if (failures.length === 0) return;
  missed?.({ left: items.length - turns, failed: failures.length });
  throw failures[0];
}
