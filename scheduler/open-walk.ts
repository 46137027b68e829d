import type { OpenRef } from '../core/registry/tasks/task-upkeep.ts';
import { isTerminal, type TaskRow } from '../core/task/task.ts';
import type { DutyDeps } from './duties/duty.ts';

/** Rows that are read, looked at and mended together. */
export const PAGE = 250;
/** While one page waits for Postgres another has Redis. */
export const PAGES = 3;
/** So many are looked at in each turn. */
const FEW = 5_000;
/** Where more were open than that when it last went through all, a turn that finds nothing to mend ends here, and the next goes on. */
const SLICE = 500;
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
 * turn looks coarsely at a slice and at what came last, and goes on through all of them as soon as it finds something to mend.
 */
export class OpenWalk {
  readonly #deps: Pick<DutyDeps, 'registry' | 'queue' | 'clock'>;
  /** Where the next slice begins; null: at the oldest. */
  #after: string | null = null;
  /** Looked at since the oldest, and when it last came to the end: how many are open. */
  #walked = 0;
  #open = 0;

  constructor(deps: Pick<DutyDeps, 'registry' | 'queue' | 'clock'>) {
    this.#deps = deps;
  }

  /** @param act mends what is to be mended of these. @returns of how many. */
  async through(
    signal: AbortSignal,
    { all, olderThanMs }: How,
    act: (rows: readonly TaskRow[]) => Promise<number>,
  ): Promise<void> {
    const { registry, clock } = this.#deps;
    const began = clock.elapsed();
    if (all) [this.#after, this.#walked] = [null, 0];
    let looked = 0;
    /** Read while the page before it is mended: what is decided by is looked at by then anew. */
    let ahead: Promise<TaskRow[]> | null = null;
    // What began in the middle comes round to where it began.
    let wrapped = this.#after === null;
    for (let readsRows = all; !signal.aborted && (all || clock.elapsed() - began < BUDGET_MS);) {
      const page = { after: this.#after, limit: readsRows ? PAGE * PAGES : PAGE };
      let read: readonly string[];
      if (readsRows) {
        const rows: TaskRow[] = await (ahead ?? registry.tasks.openOlderThan(olderThanMs, page));
        const last = rows.length < page.limit ? undefined : rows.at(-1);
        ahead = last ? registry.tasks.openOlderThan(olderThanMs, { ...page, after: last.id }) : null;
        ahead?.catch(() => undefined); // told where it is waited for
        await act(rows);
        read = rows.map(({ id }) => id);
      } else {
        const refs = await registry.tasks.openRefs(olderThanMs, page);
        readsRows = (await act(await this.#oddAmong(refs))) > 0;
        read = refs.map(({ taskId }) => taskId);
      }
      looked += read.length;
      this.#walked += read.length;
      this.#after = read.length < page.limit ? null : (read.at(-1) ?? null);
      if (this.#after === null) {
        [this.#open, this.#walked] = [this.#walked, 0];
        if (wrapped || !readsRows) break;
        wrapped = true;
      }
      if (looked >= (this.#open > FEW ? SLICE : FEW) && !readsRows) break;
    }
    if (this.#after === null) return;
    const newest = { withinMs: NEWEST_MS, limit: NEWEST };
    await act(await this.#oddAmong(await registry.tasks.newestRefs(olderThanMs, newest)));
  }

  /** The rows of those that are not simply at rest. */
  async #oddAmong(refs: readonly OpenRef[]): Promise<TaskRow[]> {
    const { registry, queue } = this.#deps;
    const odd = await queue.jobs.notAtRest(refs);
    const rows = await registry.tasks.byIds(odd.map(({ taskId }) => taskId));
    return rows.filter((row) => !isTerminal(row.status));
  }
}
