import { settleTask } from '../../core/flow/settle.ts';
import { isErrorCode, McpctlError, messageOf } from '../../core/errors.ts';
import type { Ending, Outcome } from '../../core/outcome.ts';
import type { TaskRow } from '../../core/task.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';

/**
 * Settles the row before the last byte goes out. The row decides: when a cancel had won, the caller hears of
 * the cancel.
 * @throws McpctlError `settle_pending` when Postgres does not answer in time; the scheduler settles it then.
 */
export async function settleInTime(deps: EdgeDeps, row: TaskRow, ending: Ending): Promise<TaskRow> {
  const taskId = row.id;
  const pending = new McpctlError('settle_pending', undefined, { taskId });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(pending), deps.config.settleWaitMs);
  });
  const settling = settleTask(flowOf(deps), { taskId, poolKey: row.poolName }, ending);
  settling.catch((thrown: unknown) =>
    deps.log.warn({ taskId, why: messageOf(thrown) }, 'an answer is not settled yet; the scheduler will'),
  );
  try {
    return await Promise.race([settling, late]);
  } catch (thrown) {
    throw thrown instanceof McpctlError && thrown.code === 'unavailable' ? pending : thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** A task that was closed from outside, as the error its caller gets. */
export function errorOf(taskId: string, outcome: Outcome): McpctlError {
  const code = outcome.kind !== 'completed' && isErrorCode(outcome.code) ? outcome.code : 'task_cancelled';
  return new McpctlError(code, outcome.kind === 'completed' ? undefined : outcome.message, {
    taskId,
    ...retryAfter(outcome),
  });
}

/** How long the backend asked to wait, in whole seconds. */
function retryAfter(outcome: Outcome | undefined): { retryAfterS?: number } {
  const seconds = outcome?.kind === 'failed' ? outcome.retryAfterS : undefined;
  return seconds === undefined ? {} : { retryAfterS: Math.ceil(seconds) };
}

/** The error that a settled row stands for, and how long the backend asks to wait; undefined when it completed. */
export function errorOfRow(row: TaskRow, outcome?: Outcome): McpctlError | undefined {
  if (row.status === 'completed') return undefined;
  const code = row.errorCode ?? '';
  return new McpctlError(isErrorCode(code) ? code : 'task_cancelled', row.errorMessage ?? undefined, {
    taskId: row.id,
    ...retryAfter(outcome),
  });
}
