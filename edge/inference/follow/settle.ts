import type { Assembled } from '../../../core/agent/assemble.ts';
import { errorReasonIn, settleTask } from '../../../core/flow/end/settle.ts';
import { isErrorCode, McpctlError, messageOf, type ErrorExtra, type Refusal } from '../../../core/errors.ts';
import { errorReasonOf, type ErrorReason } from '../../../core/task/error-reason.ts';
import type { Ending, Outcome } from '../../../core/task/outcome.ts';
import { pause } from '../../../core/runtime/clock.ts';
import { isLarge, mostMs, msFor } from '../../../core/runtime/time-of-bytes.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';

/** Postgres that only lost its connections is there again by then. */
const AGAIN_MS = 200;

/**
 * Settles the row before the last byte goes out. The row decides: when a cancel had won, the caller hears of
 * the cancel.
 * @throws McpctlError `settle_pending` when Postgres does not answer in time; the scheduler settles it then.
 */
export async function settleInTime(
  deps: EdgeDeps,
  row: TaskRow,
  { ending, inHand }: { ending: Ending; inHand?: Assembled | null | undefined },
): Promise<TaskRow> {
  const taskId = row.id;
  const bytes = bodyLength(ending);
  const waitMs = deps.config.settleWaitMs + msFor(bytes);
  const until = deps.clock.elapsed() + waitMs;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const pending = (): void => reject(new McpctlError('settle_pending', undefined, { taskId }));
    // What is large may be on its way to Postgres still: it ends when that falls silent, and is not begun again.
    timer = setTimeout(pending, isLarge(bytes) ? Math.max(waitMs, mostMs(bytes)) : waitMs);
  });
  const settling = settleUntil(deps, { row, ending, inHand, until });
  settling.catch((thrown: unknown) =>
    deps.log.warn({ taskId, why: messageOf(thrown) }, 'an answer is not settled yet; the scheduler will'),
  );
  try {
    return await Promise.race([settling, late]);
  } finally {
    clearTimeout(timer);
  }
}

const bodyLength = ({ outcome }: Ending): number => ('body' in outcome ? (outcome.body?.length ?? 0) : 0);

/** Tries again while Postgres is away; what was under way when time is over may still come to its end. */
async function settleUntil(
  deps: EdgeDeps,
  {
    row,
    ending,
    inHand,
    until,
  }: { row: TaskRow; ending: Ending; inHand: Assembled | null | undefined; until: number },
): Promise<TaskRow> {
  const { id, poolName, turnId } = row;
  for (;;) {
    try {
      return await settleTask(flowOf(deps), { id, poolName, turnId, row, inHand }, ending);
    } catch (thrown) {
      const away = thrown instanceof McpctlError && thrown.code === 'unavailable';
      if (away && deps.clock.elapsed() >= until)
        throw new McpctlError('settle_pending', undefined, { taskId: row.id });
      if (!away) throw thrown;
      await pause(AGAIN_MS);
    }
  }
}

/** A task that was closed from outside, as the error its caller gets. */
export function errorOf(taskId: string, outcome: Outcome): McpctlError {
  const code = outcome.kind !== 'completed' && isErrorCode(outcome.code) ? outcome.code : 'task_cancelled';
  return new McpctlError(code, outcome.kind === 'completed' ? undefined : outcome.message, {
    taskId,
    ...besideOf(errorReasonIn(outcome)),
  });
}

/** What a backend said beside the sentence, and how long it asked to wait, in whole seconds. */
function besideOf(reason: ErrorReason | null): Pick<ErrorExtra, 'reason' | 'retryAfterS'> {
  const seconds = reason?.retryAfterS;
  return { reason, ...(seconds === undefined ? {} : { retryAfterS: Math.ceil(seconds) }) };
}

/** What a row keeps of it: of the time to wait that which is left. */
function reasonOfRow({ errorReason, completedAt }: TaskRow, nowMs: number): ErrorReason | null {
  if (errorReason?.retryAfterS === undefined) return errorReason;
  const { retryAfterS, ...reason } = errorReason;
  const left = retryAfterS - (completedAt === null ? 0 : (nowMs - completedAt.getTime()) / 1_000);
  return errorReasonOf({ reason, ...(left > 0 ? { retryAfterS: left } : {}) });
}

/**
 * The error that a settled row stands for, and how long the backend asks to wait; undefined when it completed.
 * @param heard the outcome, or what is kept of a refusal where none is at hand.
 */
export function errorOfRow(
  { clock }: Pick<EdgeDeps, 'clock'>,
  row: TaskRow,
  { outcome, body }: { outcome?: Outcome; body?: string | null } = {},
): McpctlError | undefined {
  if (row.status === 'completed') return undefined;
  const code = row.errorCode ?? '';
  const refusal = code === 'backend_rejected' ? refusalOf(row, outcome, body) : undefined;
  return new McpctlError(isErrorCode(code) ? code : 'task_cancelled', row.errorMessage ?? undefined, {
    taskId: row.id,
    ...besideOf((outcome && errorReasonIn(outcome)) ?? reasonOfRow(row, clock.now())),
    ...(refusal === undefined ? {} : { refusal }),
  });
}

/** The backend's own words; where they are not kept, what the row has of them. */
function refusalOf(row: TaskRow, outcome?: Outcome, kept?: string | null): Refusal | undefined {
  const failure = outcome?.kind === 'failed' ? outcome : undefined;
  const status = failure?.status ?? row.responseStatus;
  if (status == null) return undefined;
  const body = failure?.body ?? kept;
  if (body != null) return { status, body };
  const { retryAfterS: _wait, ...its } = row.errorReason ?? {};
  const reason = { type: 'invalid_request_error', param: null, code: row.errorCode, ...its };
  return { status, body: JSON.stringify({ error: { message: row.errorMessage, ...reason } }) };
}
