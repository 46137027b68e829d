import { settleTask } from '../../../core/flow/end/settle.ts';
import { beginning } from '../../../core/queue/task/stream.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';

/** The row is asked again this often: an end may have been settled by somebody else. */
const ASK_EVERY_MS = 2_000;
/** A cancel closes the fence first and writes the row a moment later. */
const ASK_AFTER_CLOSE_MS = 50;

/** Waits until a task has ended, at most `withinMs`, or until the caller has gone. @returns the row as it then is. */
export async function untilEnded(
  deps: EdgeDeps,
  row: TaskRow,
  { withinMs, gone }: { withinMs: number; gone: AbortSignal },
): Promise<TaskRow> {
  if (isTerminal(row.status) || withinMs <= 0) return row;
  const ref = { taskId: row.id, poolKey: row.poolName };
  // Only the end is of interest: of a long stream, nothing before its last entry is read.
  const top = await deps.queue.streams.top(ref);
  if (top?.kind === 'end') return await settleTask(flowOf(deps), row, top.ending);
  const after = top?.kind === 'events' ? top : beginning;
  const follower = await deps.queue.streams.follow(ref, after);
  const deadline = deps.clock.elapsed() + withinMs;
  try {
    follower.readRecord();
    let askEveryMs = ASK_EVERY_MS;
    for (;;) {
      const left = deadline - deps.clock.elapsed();
      if (left <= 0 || gone.aborted) return (await deps.registry.tasks.byId(row.id)) ?? row;
      const item = await follower.next({ signal: gone, withinMs: Math.min(left, askEveryMs) });
      if (item?.kind === 'end') return await settleTask(flowOf(deps), row, item.ending);
      if (item?.kind === 'closed') askEveryMs = ASK_AFTER_CLOSE_MS;
      else if (item !== null) continue;
      const current = await deps.registry.tasks.byId(row.id);
      if (current && isTerminal(current.status)) return current;
    }
  } finally {
    follower.close();
  }
}
