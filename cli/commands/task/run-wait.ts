import { isErrorCode, McpctlError } from '../../../core/errors.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import { Cancelled } from '../../exit.ts';
import { hasEnded } from '../../tasks.ts';
import type { SeenTask } from '../../net/views.ts';
import { isPassing } from '../../net/follow.ts';

export interface TaskWaitOptions {
  ids: string[];
  timeoutMs: number;
}

/** Most seconds that one call may hold the answer. */
const HOLD_S = 30;
/** Between two questions at least, also while the server is away. */
const AGAIN_MS = 500;

/** One limit for all of them together. @throws McpctlError `timed_out`, or what ended a task. */
export async function runTaskWait(ctx: Context, { ids, timeoutMs }: TaskWaitOptions): Promise<void> {
  const client = await ctx.client();
  const deadline = ctx.clock.elapsed() + timeoutMs;
  await eachOf(ctx, ids, async (id) => {
    const { view } = await ended(ctx, { client, id, deadline });
    if (view.status === 'completed') return ctx.out.line(`task/${id} completed`);
    const code = view.status === 'cancelled' ? 'task_cancelled' : (view.error?.code ?? 'internal');
    const message = view.error?.message ?? `It ended as ${view.status ?? 'unknown'}.`;
    throw isErrorCode(code)
      ? new McpctlError(code, `Task ${id}: ${message}`)
      : new McpctlError('internal', `Task ${id}: ${message} [${code}]`);
  });
}

interface Waited {
  client: Client;
  id: string;
  /** On the clock's `elapsed()`. */
  deadline: number;
}

/** A server that goes away after it was there once is waited for: a wait outlives the restart of an edge. */
async function ended(ctx: Context, { client, id, deadline }: Waited): Promise<SeenTask> {
  let isThere = false;
  for (;;) {
    const from = ctx.clock.elapsed();
    try {
      const task = await client.tasks.get(
        id,
        Math.max(1, Math.min(HOLD_S, Math.ceil((deadline - from) / 1000))),
      );
      if (hasEnded(task.view.status)) return task;
      if (!isThere) ctx.out.note(`Waiting for task ${id} (${task.view.status ?? 'unknown'}) …`);
      isThere = true;
    } catch (thrown) {
      if (!isThere || !isPassing(thrown)) throw thrown;
    }
    // Also after an answer that was not held, so that no server is asked in a hot loop.
    const again = Math.min(from + AGAIN_MS, deadline);
    await pause(Math.max(0, again - ctx.clock.elapsed()), ctx.interrupts.signal);
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (ctx.clock.elapsed() >= deadline)
      throw new McpctlError(
        'timed_out',
        `Task ${id} has not ended in time; it goes on. Wait again with --timeout.`,
      );
  }
}
