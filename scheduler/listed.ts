import { messageOf } from '../core/errors.ts';
import type { TaskRef } from '../core/queue/task/fence.ts';
import type { IndexQuery } from '../core/queue/pool-indexes.ts';
import type { Round } from '../core/runtime/each-item.ts';
import type { DutyDeps } from './duties/duty.ts';

/** A duty's work over a list of its pools ends after this; the next turn goes on. */
const BUDGET_MS = 5_000;
/** Of each pool at a time. */
const PAGE = 2_000;

/**
 * Goes through one list of all pools where something is to be done, page by page, as often as that changes something. What stays in a list, as it
 * cannot be done now, keeps nobody behind it.
 * @returns how many things `each` changed, and what it left.
 */
export async function forListed(
  { queue, pools, clock, log }: Pick<DutyDeps, 'queue' | 'pools' | 'clock' | 'log'>,
  { index, upTo, signal }: Pick<IndexQuery, 'index' | 'upTo'> & { signal: AbortSignal },
  each: (refs: readonly TaskRef[]) => Promise<Round>,
): Promise<Round> {
  const began = clock.elapsed();
  const total: Round = { did: 0, left: 0, failed: 0, ended: 0 };
  const all = await pools.busy();
  for (let changed = true; changed;) {
    changed = false;
    let open: readonly string[] = all;
    for (let skip = 0; open.length > 0; skip += PAGE) {
      const { refs, unread, full } = await queue.lists.read(open, {
        index,
        upTo,
        most: PAGE,
        skip,
      });
      for (const [poolKey, error] of unread)
        log.warn(
          { index, pool: poolKey, why: messageOf(error) },
          'a list of a pool could not be read; the others go on',
        );
      if (refs.length === 0) break;
      const round = await each(refs);
      total.did += round.did;
      total.failed += round.failed;
      total.ended += round.ended;
      total.left = round.left;
      // A short page was all that there was; after a full one that went, there may be more where it stood.
      changed ||= round.did > 0 && full.length > 0;
      if (signal.aborted || clock.elapsed() - began > BUDGET_MS) {
        total.left += full.length; // in each of those at least one
        return total;
      }
      open = full;
    }
  }
  return total;
}
