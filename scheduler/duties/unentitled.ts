import { closeMany } from '../../core/flow/end/close-many.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const PAGE = 1_000;
const TOGETHER = 250;
const BUDGET_MS = 5_000;
/** So long after a write of identity an edge may still let in what it forbids, as it has not heard of it. */
const UNHEARD_MS = 10_000;

const forbidden = {
  mode: 'expire', // one that is claimed goes on: what was let in while it might is answered
  status: 'cancelled',
  code: 'forbidden',
  message:
    'You may not call this any more: the right to run it was taken from you while the task waited. Ask an admin, or see what you may with mcpctl auth why run.',
} as const;

/**
 * Cancels tasks that nobody has taken yet of users who lost the right to run what would take them. Asked for a while
 * after each write of identity, whoever made it, and until nothing is left of it.
 */
export function createUnentitledDuty(deps: DutyDeps): Duty {
  const { registry, flow, clock, log } = deps;
  /** Of identity, as it was last seen; `isDone`: nothing more can come of it. */
  let seen = { epoch: '', at: 0, isDone: false };
  const each = new EachItem<TaskRow>({
    name: 'unentitled',
    idOf: ({ id }) => id,
    act: (rows) => closeMany(flow, rows, forbidden),
    together: TOGETHER,
    lanes: 2,
    clock,
    log,
  });
  return {
    name: 'unentitled',
    everyMs: 1_000,
    async run(signal) {
      // Read first: what is written meanwhile is looked at in the next turn.
      const epoch = await registry.groups.epoch();
      const began = clock.elapsed();
      if (epoch !== seen.epoch) seen = { epoch, at: began, isDone: false };
      if (seen.isDone) return 0;
      const total = { did: 0, left: 0, failed: 0, ended: 0 };
      let after: string | null = null;
      for (let isMore = true; isMore;) {
        const rows: TaskRow[] = await registry.tasks.unentitled({ after, limit: PAGE });
        const round = await each.run(rows, signal);
        for (const count of ['did', 'left', 'failed', 'ended'] as const) total[count] += round[count];
        after = rows.at(-1)?.id ?? after;
        isMore = rows.length === PAGE;
        if (isMore && (signal.aborted || clock.elapsed() - began > BUDGET_MS)) {
          total.left += 1; // at least
          break;
        }
      }
      seen.isDone = total.left + total.failed === 0 && began - seen.at > UNHEARD_MS;
      return announced(deps, 'unentitled', total);
    },
  };
}
