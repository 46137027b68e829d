import { McpctlError } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { Attempt } from '../../../core/queue/task/attempt.ts';
import { show, type Shown } from '../../../core/queue/task/fence.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';

/** A half-open connection to Redis is noticed and made anew within about four seconds. */
const PATIENCE_MS = 8_000;
const AGAIN_MS = 250;

/**
 * May events of this attempt be shown? Asked once per claim, before its first byte goes out. The task runs well while
 * only this edge's path to Redis is being mended, so it is asked again for a while.
 * @returns who has it; null when they may not. @throws McpctlError `unavailable`.
 */
export async function mayShow(
  { queue, clock }: Pick<EdgeDeps, 'queue' | 'clock'>,
  row: TaskRow,
  { attempt, gone }: { attempt: Attempt; gone: AbortSignal },
): Promise<Shown | null> {
  const until = clock.elapsed() + PATIENCE_MS;
  for (;;) {
    try {
      return await show(queue.redis, queue.keys, { ref: refOf(row), attempt });
    } catch (thrown) {
      const passes = thrown instanceof McpctlError && thrown.code === 'unavailable';
      if (!passes || gone.aborted || clock.elapsed() > until) throw thrown;
      await pause(AGAIN_MS, gone);
    }
  }
}
