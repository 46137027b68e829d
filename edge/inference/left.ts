import type { Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { TaskRow } from '../../core/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { LEFT } from '../gone.ts';
import { deliveryOf } from '../delivered.ts';
import { EventWriter } from '../sse.ts';
import { endWithError } from './answer.ts';
import type { Form } from './form/form.ts';
import type { Report } from './report.ts';

/**
 * The wait is over without an end: the caller has gone, or is told that it is this edge that leaves.
 * @param closed the row of the task, where that ended with its caller.
 */
export async function sayLeft(
  deps: EdgeDeps,
  {
    row,
    closed,
    report,
    res,
    form,
  }: { row: TaskRow; closed: TaskRow | null; report: Report; res: Response; form: Form },
): Promise<void> {
  if (closed) report.settled(closed);
  if (!deps.leaving.aborted) return report.finish(LEFT, 'task_cancelled');
  const error = new McpctlError('shutting_down', undefined, { taskId: row.id, retryAfterS: 1 });
  if (!res.headersSent) throw error;
  report.failed(error);
  if (!row.streaming) return void res.destroy(); // half of a JSON text
  await endWithError(new EventWriter(res, deliveryOf(deps), form.lines), form.error(error));
}
