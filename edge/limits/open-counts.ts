import { messageOf } from '../../core/errors.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';

/**
 * How much something (an owner, a pool, all) has open, as tasks or as their bytes, known well enough for a cap without a
 * query per call.
 */
export interface OpenCounts {
  /**
   * Does `insert`, which opens `size` more, unless that would be more than `most`. A yes may come from an older count, which is renewed behind it,
   * plus what this edge has let in since; a no never comes from one older than 250 ms.
   * @throws what `refusal` makes, for a no; McpctlError `unavailable` when Postgres must be asked and is away.
   */
  within<T>(limit: Limit, insert: () => Promise<T>): Promise<T>;
  /** How much is open, as far as is known: nothing is asked. */
  countNow(key: string): number;
}

export interface Limit {
  /** Of the owner, or of the pool. */
  key: string;
  most: number;
  /** How much this opens: 1, unless told. */
  size?: number;
  /** Large enough to be worth a query: also a yes never comes from a count older than 250 ms. */
  isLarge?: boolean;
  refusal: () => Error;
}

export interface OpenCountsDeps {
  /** Stops counting at `most`. */
  count: (key: string, most: number) => Promise<number>;
  clock: Clock;
  log: Log;
}

/** A count older than this is renewed behind the call that uses it. */
const FRESH_MS = 1_000;
/** A refusal, and a yes to something large, rests on a count no older than this. */
const SURE_MS = 250;
/** The least recently used go; theirs is counted again when they come back. */
const MOST_KEYS = 10_000;

interface Entry {
  open: number;
  /** Let in, and perhaps not seen by the newest count: it was asked for before, or while they were on their way. */
  since: number;
  /** Those of them whose rows are still on their way. */
  under: number;
  at: number;
  counting: Promise<void> | null;
}

export function createOpenCounts({ count, clock, log }: OpenCountsDeps): OpenCounts {
  const entries = new Map<string, Entry>();

  const entryOf = (key: string): Entry => {
    const entry = entries.get(key) ?? { open: 0, since: 0, under: 0, at: -Infinity, counting: null };
    entries.delete(key);
    entries.set(key, entry);
    const oldest = entries.keys().next().value;
    if (entries.size > MOST_KEYS && oldest !== undefined) entries.delete(oldest);
    return entry;
  };

  const recount = async (key: string, entry: Entry, most: number): Promise<void> => {
    const at = clock.elapsed();
    const seen = entry.since - entry.under;
    try {
      entry.open = await count(key, most);
      entry.since -= seen;
      entry.at = at;
    } finally {
      entry.counting = null;
    }
  };
  /** One query at a time per key, whoever waits for it. */
  const counted = (key: string, entry: Entry, most: number): Promise<void> =>
    (entry.counting ??= recount(key, entry, most));

  return {
    countNow(key) {
      const entry = entries.get(key);
      return entry ? entry.open + entry.since : 0;
    },
    async within({ key, most, size = 1, isLarge = false, refusal }, insert) {
      const entry = entryOf(key);
      const age = (): number => clock.elapsed() - entry.at;
      const isOver = (): boolean => entry.open + entry.since + size > most;
      if (entry.at === -Infinity || (isLarge && age() > SURE_MS)) await counted(key, entry, most);
      else if (age() > FRESH_MS)
        counted(key, entry, most).catch((thrown: unknown) =>
          log.debug({ why: messageOf(thrown) }, 'open tasks could not be counted; using the last count'),
        );
      if (isOver() && age() > SURE_MS) await counted(key, entry, most);
      if (isOver()) throw refusal();
      entry.since += size;
      entry.under += size;
      try {
        return await insert();
      } catch (thrown) {
        entry.since -= size;
        throw thrown;
      } finally {
        entry.under -= size;
      }
    },
  };
}
