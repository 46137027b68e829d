import { McpctlError } from '../errors.ts';

/** What a row costs beside its bodies. */
const ROW_BYTES = 1_024;

/** Of tasks' rows: hundreds in one statement where bodies are small. @param bytesOf the characters of an item's body. */
export const forRows = <T>(bytesOf: (item: T) => number): BatchOptions<T> => ({
  weightOf: (item) => ROW_BYTES + bytesOf(item),
  most: 256 * 1024,
  lanes: 2,
});

interface BatchOptions<T> {
  /** How much an item weighs; one that is heavier than `most` goes alone. */
  weightOf: (item: T) => number;
  /** The most that one batch weighs. */
  most: number;
  /** How many batches are under way at a time. */
  lanes: number;
}

/**
 * Makes one statement of calls that come while others are under way. Nothing waits for company: as long as a lane is free
 * a call goes at once, alone. So a quiet edge is as quick as without, and a busy one costs Postgres a fraction.
 *
 * A statement that fails for what is in it (Postgres can not store one of the rows) is repeated row by row, so that nobody
 * pays for another's; one that failed because Postgres is away fails all.
 * @param run resolves with one result per item, in order.
 */
export function inBatches<T, R>(
  run: (items: readonly T[]) => Promise<readonly R[]>,
  { weightOf, most, lanes }: BatchOptions<T>,
): (item: T) => Promise<R> {
  interface Waiting {
    item: T;
    resolve: (result: R) => void;
    reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];
  let free = lanes;

  const take = (): Waiting[] => {
    let weight = 0;
    let count = 0;
    for (const { item } of waiting) {
      weight += weightOf(item);
      if (count > 0 && weight > most) break;
      count += 1;
    }
    return waiting.splice(0, count);
  };
  const settle = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      const results = await run(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, at) => resolve(results[at] as R));
    } catch (thrown) {
      const isAway = thrown instanceof McpctlError && thrown.code === 'unavailable';
      if (batch.length === 1 || isAway) for (const { reject } of batch) reject(thrown);
      else for (const one of batch) await settle([one]);
    }
  };
  const next = (): void => {
    while (free > 0 && waiting.length > 0) {
      free -= 1;
      void settle(take()).finally(() => {
        free += 1;
        next();
      });
    }
  };
  return (item) =>
    new Promise<R>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      next();
    });
}
