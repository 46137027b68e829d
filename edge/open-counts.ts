import { messageOf } from '../core/errors.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';

/** How many tasks something (an owner, a pool) has open, known well enough for a cap without a query per call. */
export interface OpenCounts {
  /**
   * Does `insert`, which opens one more, unless `most` are open. A yes may come from an older count, which is renewed behind it,
   * plus what this edge has let in since; a no never comes from one older than 250 ms.
   * @throws what `refusal` makes, for a no; McpctlError `unavailable` when Postgres must be asked and is away.
   */
  within<T>(limit: Limit, insert: () => Promise<T>): Promise<T>;
  /** How many are open, as far as is known: nothing is asked. */
  known(key: string): number;
}

export interface Limit {
  /** Of the owner, or of the pool. */
  key: string;
  most: number;
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
/** A refusal rests on a count no older than this. */
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
    known(key) {
      const entry = entries.get(key);
      return entry ? entry.open + entry.since : 0;
    },
    async within({ key, most, refusal }, insert) {
      const entry = entryOf(key);
      const age = (): number => clock.elapsed() - entry.at;
      if (entry.at === -Infinity) await counted(key, entry, most);
      else if (age() > FRESH_MS)
        counted(key, entry, most).catch((thrown: unknown) =>
          log.debug({ why: messageOf(thrown) }, 'open tasks could not be counted; using the last count'),
        );
      if (entry.open + entry.since >= most && age() > SURE_MS) await counted(key, entry, most);
      if (entry.open + entry.since >= most) throw refusal();
      entry.since += 1;
      entry.under += 1;
      try {
        return await insert();
      } catch (thrown) {
        entry.since -= 1;
        throw thrown;
      } finally {
        entry.under -= 1;
      }
    },
  };
}
