import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { whileThere } from '../http/gone.ts';
import type { Attachment } from '../waiting/waiters.ts';
import { answerTask } from './answer-task.ts';
import { answerFromRow } from './answer/answer.ts';
import type { Call } from './ask/call.ts';
import { lookingOn } from './follow/duties.ts';
import { formOf } from './form/index.ts';
import { followFrom } from './follow/resume.ts';
import { dropOnceDelivered } from './answer/retention.ts';

/**
 * Answers a call from a task that is there already, from its beginning, as if the call had made it: one more
 * who waits for it, or, when it has ended, one who comes for what is kept.
 * @param followsTurn as `Answering` has it. @returns whether its turn goes on behind it: then nothing was answered.
 * @throws McpctlError `gone` when its answer is no longer kept.
 */
export async function answerFrom(
  deps: EdgeDeps,
  call: Call,
  { row, followsTurn = false }: { row: TaskRow; followsTurn?: boolean },
): Promise<boolean> {
  const { req, res, report, request } = call;
  const { streaming } = request;
  report.by(row);
  if (!res.headersSent) res.set('x-mcpctl-task-id', row.id);
  if (streaming) untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming }));
  const form = formOf(row, request);
  return await whileThere(deps, { res, poolKey: row.poolName }, async (gone) => {
    let attachment: Attachment | null = null;
    try {
      if (!isTerminal(row.status)) attachment = await deps.waiters.attach(row);
      const follower = await followFrom(deps, row, null);
      if (!follower) {
        const turnId = followsTurn ? row.turnId : null;
        if (turnId !== null && (await deps.registry.threads.goesOnBehind(turnId, row.id))) return true;
        await answerFromRow({ deps, res, report, form }, row);
        dropOnceDelivered(deps, row, res);
        return false;
      }
      const { keepAlive = deps.config.sseKeepAlive } = call.wishes;
      const { quiet, duties } = lookingOn(deps, row);
      const how = { res, row, follower, attachment, gone, report, form, keepAlive, streaming, followsTurn };
      const { answerer, ...own } = call.own ?? { quiet, answerer: undefined };
      return await answerTask(deps, { ...how, duties, ...own, answerer });
    } finally {
      void attachment?.leave(); // never rejects; says nothing of a task that has ended
    }
  });
}
