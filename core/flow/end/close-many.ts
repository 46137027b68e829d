import type { Outcome } from '../../task/outcome.ts';
import type { Acted } from '../../runtime/each-item.ts';
import { settledEvent } from '../../task/settled-event.ts';
import type { Closing } from './cancel.ts';
import { answerOfClose, type Ended } from './answer.ts';
import { closeRow, errorReasonIn } from './settle.ts';
import { failureOf, refOf, type FlowDeps } from '../deps.ts';

type Target = Ended;
type Close = Pick<Closing, 'status' | 'code' | 'message' | 'reason' | 'retryAfterS'> & {
  mode: 'expire' | 'orphan';
};

/**
 * Ends many tasks from outside for one reason, as `closeTask` does one: three round trips for all of them. A row that
 * somebody holds just now stays as it is, with its fence closed: the next look ends it.
 */
export async function closeMany<T extends Target>(
  flow: FlowDeps,
  tasks: readonly T[],
  { mode, status, code, message, reason, retryAfterS }: Close,
): Promise<Acted<T>> {
  const { registry, dispatch, bus } = flow;
  const outcome: Outcome =
    status === 'cancelled'
      ? { kind: 'cancelled', code, message }
      : { kind: 'failed', code, message, reason, retryAfterS };
  const errorReason = errorReasonIn(outcome);
  const answers = await dispatch.closeMany(tasks.map(refOf), mode, outcome);
  const failed = new Map<T, unknown>();
  const closed = tasks.flatMap((task, at) => {
    const answer = answers[at];
    if (answer instanceof Error) failed.set(task, answer);
    return answer && !(answer instanceof Error) && answer.kind === 'closed' ? [{ task, closed: answer }] : [];
  });
  // Whose claim was cut short has more to write down, and a worker to tell.
  const idle = closed.filter((one) => one.closed.claim === '');
  const rows = await registry.tasks.closeMany(
    idle.map(({ task }) => ({ id: task.id, poolName: task.poolName, status, code, message, errorReason })),
  );
  for (const row of rows) bus.emit('task.settled', settledEvent(row, flow.by));
  let did = rows.length;
  for (const one of closed.filter(({ closed: { claim } }) => claim !== '')) {
    const answer = await answerOfClose(flow, one.task, one.closed);
    const row = await closeRow(flow, one.task.id, {
      status,
      code,
      message,
      errorReason,
      claim: one.closed,
      answer,
    });
    if (row) did += 1;
    await dispatch
      .withdraw(refOf(one.task), one.closed, row ? failureOf(row) : undefined)
      .catch(() => undefined);
  }
  await withdraw(flow, idle, status === 'error' ? code : undefined);
  if (status === 'cancelled') for (const row of rows) bus.emit('task.cancelled', { taskId: row.id });
  return { did, failed };
}

/** Best effort: a job that stays is found closed by who takes it. */
async function withdraw(
  { dispatch }: FlowDeps,
  idle: readonly { task: Target; closed: Parameters<FlowDeps['dispatch']['withdraw']>[1] }[],
  code: string | undefined,
): Promise<void> {
  const withJob = idle.filter(({ closed }) => closed.job !== '');
  if (code === undefined) {
    await Promise.allSettled(withJob.map(({ task, closed }) => dispatch.withdraw(refOf(task), closed)));
    return;
  }
  const jobs = withJob.map(({ task, closed }) => ({ ref: refOf(task), closed, code }));
  await dispatch.failJobs(jobs).catch(() => undefined);
}
