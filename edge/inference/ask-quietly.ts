import type { Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { keptMs } from '../../core/member/presence.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { submitAndFollow, type Order } from './ask/submit.ts';
import { MakersDuties } from './follow/duties.ts';
import { errorOf, errorOfRow, settleInTime } from './follow/settle.ts';
import { TaskWait } from './follow/wait.ts';

export interface Quietly {
  order: Order;
  /** How long its answer is waited for; what the order says of who leaves is done then. */
  withinMs: number;
  /** Aborts when nobody wants the answer any more. */
  left: AbortSignal;
}

/**
 * A task whose answer this edge itself reads, while it answers something else: as any other it is in the registry, its maker's, and
 * counts among theirs. It is not streamed, and under no key.
 * @returns its body; null where it did not come in time. @throws McpctlError why there is none.
 */
export async function askQuietly(
  deps: EdgeDeps,
  actor: Actor,
  { order, withinMs, left }: Quietly,
): Promise<string | null> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), withinMs);
  try {
    const submitted = await submitAndFollow(deps, actor, order);
    // Only an equal call under its key is quicker.
    if (!submitted.follower) throw new McpctlError('internal');
    const { row, follower, attachment } = submitted;
    const gone = anySignal([late.signal, left, deps.leaving]);
    const { target, queueMs } = order;
    const duties = new MakersDuties(deps, {
      row,
      target,
      queueMs,
      unservedMs: target.returning ? keptMs : 0,
    });
    const quiet = { afterMs: () => deps.config.keepAliveMs };
    const wait = new TaskWait(deps, { row, follower, gone, quiet, duties });
    try {
      return await answerOf(deps, row, wait);
    } finally {
      if (wait.over) attachment.over();
      void attachment.leave(); // never rejects; says nothing of a task that is over
      follower.close();
    }
  } finally {
    clearTimeout(timer);
  }
}

async function answerOf(deps: EdgeDeps, row: TaskRow, wait: TaskWait): Promise<string | null> {
  for (;;) {
    const item = await wait.next();
    switch (item.kind) {
      case 'left':
        return null;
      case 'closed':
        throw errorOf(row.id, item.outcome);
      case 'row': {
        const { responseBody } = await deps.registry.tasks.bodies(row.id);
        const error = errorOfRow(deps, item.row, { body: responseBody });
        if (error) throw error;
        return responseBody;
      }
      case 'end': {
        const { outcome } = item.ending;
        const settled = await settleInTime(deps, row, { ending: item.ending });
        const error = errorOfRow(deps, settled, { outcome });
        if (error) throw error;
        return 'body' in outcome ? (outcome.body ?? null) : null;
      }
      case 'events': // of what it tells only its end counts
      case 'gap':
      case 'vanished':
      case 'quiet':
        break;
    }
  }
}
