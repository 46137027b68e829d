import type { OpenRef } from '../core/registry/tasks/task-upkeep.ts';
import type { DutyDeps } from './duties/duty.ts';

/** Rows that are looked at together; those that are all gone through are read many at a time, so that many of a pool are brought together. */
const PAGE = 250;
const PAGE_OF_ALL = 8_000;
/** So many are looked at in each turn. */
const FEW = 5_000;
/**
 * Where more were open than that when it last went through all, a turn that finds nothing to mend ends here, and the next goes on; sooner
 * where nothing was found in all of them the last time.
 */
const SLICE = 500;
const CALM_SLICE = 100;
/** Rows that came last are looked at in each turn. */
const NEWEST = 500;
const NEWEST_MS = 30_000;
/** How long a turn goes on where there is much to mend. */
const BUDGET_MS = 60_000;

interface How {
  olderThanMs: number;
  /** Through all of them, each looked at closely, however long that takes. */
  all: boolean;
}

/**
 * Goes through the rows that have not ended, by id in pages. What is at rest costs the same however much there is of it: a
 * turn looks at a slice and at what came last, and goes on through all of them as soon as it finds something to mend: coarsely, as
 * what is at rest among them need not be read.
 */
export class OpenWalk {
  readonly #deps: Pick<DutyDeps, 'registry' | 'queue' | 'clock'>;
  /** Where the next slice begins; null: at the oldest. */
  #after: string | null = null;
  /** Looked at since the oldest, and when it last came to the end: how many are open. */
  #walked = 0;
  #open = 0;
  /** Whether something was mended since the oldest, and when it last came to the end: that nothing was. */
  #hasMended = false;
  #isCalm = false;

  constructor(deps: Pick<DutyDeps, 'registry' | 'queue' | 'clock'>) {
    this.#deps = deps;
  }

  /** @param act mends what is to be mended of these. @returns of how many. */
  async through(
    signal: AbortSignal,
    { all, olderThanMs }: How,
    act: (refs: readonly OpenRef[]) => Promise<number>,
  ): Promise<void> {
    const { registry, queue, clock } = this.#deps;
    const began = clock.elapsed();
    if (all) [this.#after, this.#walked] = [null, 0];
    let looked = 0;
    /** Read while the page before it is mended: what is decided by is looked at by then anew. */
    let ahead: Promise<OpenRef[]> | null = null;
    // What began in the middle comes round to where it began.
    let wrapped = this.#after === null;
    for (let goesOn = all; !signal.aborted && (all || clock.elapsed() - began < BUDGET_MS);) {
      const limit = goesOn ? PAGE_OF_ALL : Math.min(PAGE, this.#slice());
      const page = { after: this.#after, limit };
      const refs: OpenRef[] = await (ahead ?? registry.tasks.openRefs(olderThanMs, page));
      const last = refs.length < limit ? undefined : refs.at(-1);
      if (goesOn) {
        ahead = last ? registry.tasks.openRefs(olderThanMs, { ...page, after: last.taskId }) : null;
        ahead?.catch(() => undefined); // told where it is waited for
      }
      const did = await act(all ? refs : await queue.jobs.notAtRest(refs));
      if (did > 0) [this.#hasMended, this.#isCalm, goesOn] = [true, false, true];
      looked += refs.length;
      this.#walked += refs.length;
      this.#after = last?.taskId ?? null;
      if (this.#after === null) {
        [this.#open, this.#walked] = [this.#walked, 0];
        [this.#isCalm, this.#hasMended] = [!this.#hasMended, false];
        if (wrapped || !goesOn) break;
        wrapped = true;
      }
      if (looked >= this.#slice() && !goesOn) break;
    }
    if (this.#after === null) return;
    const newest = { withinMs: NEWEST_MS, limit: NEWEST };
    await act(await queue.jobs.notAtRest(await registry.tasks.newestRefs(olderThanMs, newest)));
  }

  #slice(): number {
    if (this.#open <= FEW) return FEW;
    return this.#isCalm ? CALM_SLICE : SLICE;
  }
}
