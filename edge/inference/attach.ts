import { McpctlError } from '../../core/errors.ts';
import type { Outcome } from '../../core/outcome.ts';
import { isTerminal, type TaskRow } from '../../core/task.ts';
import { untilClosed } from '../caps.ts';
import { actorOf } from '../context.ts';
import type { EdgeDeps } from '../deps.ts';
import { whenGone } from '../gone.ts';
import { answerStream, answerWhole, sendWhole, type Answering } from './answer.ts';
import type { Call } from './call.ts';
import { sayLeft } from './left.ts';
import { followFrom } from './resume.ts';
import { dropOnceDelivered } from './retention.ts';
import { TaskWatch } from './watch.ts';
import type { Attachment } from '../waiters.ts';

/**
 * Answers a call from a task that is there already, from its beginning, as if the call had made it: one more
 * who waits for it, or, when it has ended, one who comes for what is kept.
 * @throws McpctlError `gone` when its answer is no longer kept.
 */
export async function answerFrom(deps: EdgeDeps, call: Call, row: TaskRow): Promise<void> {
  const { req, res, report, request } = call;
  report.taskId = row.id;
  report.pool = row.poolName;
  res.set('x-mcpctl-task-id', row.id);
  if (request.streaming) untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming: true }));
  const { gone, forget } = whenGone(res, deps.leaving);
  const model = request.model ?? call.llmName;
  let attachment: Attachment | null = null;
  try {
    if (!isTerminal(row.status)) attachment = await deps.waiters.attach(row);
    const follower = await followFrom(deps, row, null);
    if (!follower) return await answerFromRow(deps, { call, row, model });
    try {
      const wait = new TaskWatch(deps, { row, follower, gone });
      const answering: Answering = { deps, res, row, wait, report, model, wantsUsage: request.wantsUsage };
      const answered = await (request.streaming ? answerStream(answering) : answerWhole(answering));
      if (answered === 'left') await attachment?.leave();
      if (answered === 'left') await sayLeft(deps, { row, report, res });
      else dropOnceDelivered(deps, row, res);
    } finally {
      follower.close();
    }
  } finally {
    void attachment?.leave(); // never rejects; says nothing of a task that has ended
    forget();
  }
}

/** The row says it all: the task was not streamed, or ended without success. */
async function answerFromRow(
  deps: EdgeDeps,
  { call, row, model }: { call: Call; row: TaskRow; model: string },
): Promise<void> {
  const { res, report } = call;
  const body = (await deps.registry.tasks.bodies(row.id)).responseBody ?? undefined;
  if (row.status === 'completed' && body === undefined)
    throw new McpctlError('gone', undefined, { taskId: row.id });
  const status = row.responseStatus ?? undefined;
  const said = { ...(status === undefined ? {} : { status }), ...(body === undefined ? {} : { body }) };
  const outcome: Outcome =
    row.status === 'completed'
      ? { kind: 'completed', status: 200, ...said }
      : { kind: 'failed', code: row.errorCode ?? '', message: row.errorMessage ?? '', ...said };
  report.settled(row);
  sendWhole({ res, report, model }, row, outcome);
  dropOnceDelivered(deps, row, res);
}
