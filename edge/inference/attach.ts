import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { whenGone } from '../http/gone.ts';
import { answerFromRow, answerStream, answerWhole, type Answering } from './answer/answer.ts';
import type { Call } from './ask/call.ts';
import { formOf } from './form/index.ts';
import { sayLeft } from './answer/left.ts';
import { followFrom } from './follow/resume.ts';
import { dropOnceDelivered } from './answer/retention.ts';
import { TaskWatch } from './follow/watch.ts';
import type { Attachment } from '../waiting/waiters.ts';

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
  const { gone, forget } = whenGone(deps, res, row.poolName);
  const form = formOf(row, request);
  let attachment: Attachment | null = null;
  try {
    if (!isTerminal(row.status)) attachment = await deps.waiters.attach(row);
    const follower = await followFrom(deps, row, null);
    if (!follower) {
      await answerFromRow({ deps, res, report, form }, row);
      return dropOnceDelivered(deps, row, res);
    }
    try {
      const wait = new TaskWatch(deps, { row, follower, gone });
      const { keepAlive = deps.config.sseKeepAlive } = call.wishes;
      const answering: Answering = { deps, res, row, wait, report, form, keepAlive };
      const answered = await (request.streaming ? answerStream(answering) : answerWhole(answering));
      if (answered === 'left') {
        const closed = attachment?.leave() ?? Promise.resolve(null);
        await sayLeft(deps, { row, closed, report, res, form, gone });
      } else dropOnceDelivered(deps, row, res);
    } finally {
      follower.close();
    }
  } finally {
    void attachment?.leave(); // never rejects; says nothing of a task that has ended
    forget();
  }
}
