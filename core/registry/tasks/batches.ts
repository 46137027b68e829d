import { McpctlError } from '../../errors.ts';
import { isHeld } from '../../trouble.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';

/** What a row costs beside its bodies. */
const ROW_BYTES = 1_024;

/** Of tasks' rows: hundreds in one statement where bodies are small. @param bytesOf the characters of an item's body. */
const forRows = <T>(bytesOf: (item: T) => number): BatchOptions<T> => ({
  weightOf: (item) => ROW_BYTES + bytesOf(item),
  most: 128 * 1024,
  lanes: 2,
});

/**
 * Those of small rows in batches; a large one by itself, and beside: nobody else's row waits for it. No more than two of
 * those at a time, so that they do not take all connections.
 */
export function inLanes<T, R>(
  run: (items: readonly T[]) => Promise<readonly R[]>,
  { bytesOf, alone }: { bytesOf: (item: T) => number; alone: (item: T) => Promise<R> },
): (item: T) => Promise<R> {
  const small = inBatches(run, forRows(bytesOf));
  const large = inBatches(async (items: readonly T[]) => await Promise.all(items.map(alone)), {
    weightOf: () => 1,
    most: 1,
    lanes: 2,
  });
  return (item) => (isLarge(bytesOf(item)) ? large(item) : small(item));
}

interface BatchOptions<T> {
  /** How much an item weighs; one that is heavier than `most` goes alone. */
  weightOf: (item: T) => number;
  /** The most that one batch weighs. */
  most: number;
  /** How many batches are under way at a time. One more goes only beside those that take long. */
  lanes: number;
}

/**
 * Who has waited so long, in milliseconds, beside a statement goes without it. Until then company costs less: with 64 calls
 * at once Postgres does a quarter less for each than where every free lane is taken at once.
 */
const LONG_MS = 20;

/**
 * Where so many went together, as many come again soon: they are waited for, for so long at most, or until there are many. A
 * statement, its write and its commit cost more than a row of it: with 64 calls at once an edge does a tenth less for each, Postgres a seventh.
 */
const BUSY = 3;
const MANY = 16;
const GATHER_MS = 3;

interface Waiting<T, R> {
  item: T;
  resolve: (result: R) => void;
  reject: (error: unknown) => void;
}

async function settle<T, R>(
  run: (items: readonly T[]) => Promise<readonly R[]>,
  batch: readonly Waiting<T, R>[],
): Promise<void> {
  try {
    const results = await run(batch.map(({ item }) => item));
    batch.forEach(({ resolve }, at) => resolve(results[at] as R));
  } catch (thrown) {
    const isAway = thrown instanceof McpctlError && thrown.code === 'unavailable';
    if (batch.length === 1 || (isAway && !isHeld(thrown))) for (const { reject } of batch) reject(thrown);
    else if (isHeld(thrown)) for (const one of batch) void settle(run, [one]);
    else for (const one of batch) await settle(run, [one]);
  }
}

/**
 * Makes one statement of calls that come while others are under way. While none is under way a call goes at once, unless
 * some went together a moment ago. So a quiet edge is as quick as without, and a busy one costs Postgres a fraction.
 *
 * A statement that fails for what is in it (Postgres can not store one of the rows) is repeated row by row, so that nobody
 * pays for another's; where somebody holds what one of them is about, all at once, and nobody behind them waits for it. One that
 * failed because Postgres is away fails all.
 * @param run resolves with one result per item, in order.
 */
export function inBatches<T, R>(
  run: (items: readonly T[]) => Promise<readonly R[]>,
  { weightOf, most, lanes }: BatchOptions<T>,
): (item: T) => Promise<R> {
  const waiting: Waiting<T, R>[] = [];
  let free = lanes;

  const take = (): Waiting<T, R>[] => {
    let weight = 0;
    let count = 0;
    for (const { item } of waiting) {
      weight += weightOf(item);
      if (count > 0 && weight > most) break;
      count += 1;
    }
    return waiting.splice(0, count);
  };
  let timer: NodeJS.Timeout | undefined;
  let gathering: NodeJS.Timeout | undefined;
  const start = (): void => {
    clearTimeout(gathering);
    gathering = undefined;
    free -= 1;
    const batch = take();
    const isBusy = batch.length >= BUSY && waiting.length === 0; // what did not fit waits for nobody more
    void settle(run, batch).finally(() => {
      free += 1;
      if (isBusy && waiting.length < MANY) gathering ??= setTimeout(gathered, GATHER_MS);
      else if (waiting.length > 0) start();
    });
    watch();
  };
  const gathered = (): void => {
    gathering = undefined;
    if (free > 0 && waiting.length > 0) start();
  };
  /** For those who wait beside batches that take long. */
  const later = (): void => {
    timer = undefined;
    if (free > 0 && waiting.length > 0) start();
    watch();
  };
  const watch = (): void => {
    if (waiting.length > 0 && free > 0) timer ??= setTimeout(later, LONG_MS);
  };
  return (item) =>
    new Promise<R>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (gathering ? waiting.length >= MANY && free > 0 : free === lanes) start();
      else watch();
    });
}
