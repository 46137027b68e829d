import type { Response } from 'express';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { LEFT } from '../../http/context.ts';
import { whyGone } from '../../http/gone.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { EventWriter } from '../../http/sse.ts';
import { endWithError } from './answer.ts';
import type { Form } from '../form/form.ts';
import type { Report } from './report.ts';

/**
 * The wait is over without an end: the caller has gone, or is told why it is we who end it: this edge leaves, or
 * their token is not good any more.
 * @param closed the row of the task, where that ended with its caller. Whom we end is told first: Redis may be away.
 */
export async function sayLeft(
  deps: EdgeDeps,
  {
    row,
    closed,
    report,
    res,
    form,
    gone,
  }: {
    row: TaskRow;
    closed: Promise<TaskRow | null>;
    report: Report;
    res: Response;
    form: Form;
    gone: AbortSignal;
  },
): Promise<void> {
  const error = whyGone(gone, row.id);
  if (error === null) {
    const ended = await closed;
    if (ended) report.settled(ended);
    return report.finish(LEFT, 'task_cancelled');
  }
  if (!res.headersSent || !row.streaming) throw error;
  report.failed(error);
  await endWithError(new EventWriter(res, deliveryOf(deps), form.lines), form.error(error));
}
