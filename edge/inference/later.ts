import type { Response } from 'express';
import { messageOf } from '../../core/errors.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { needStillGood, whileThere } from '../http/gone.ts';
import { taskShown } from '../shown/task/tasks-shown.ts';
import { answerFrom } from './attach.ts';
import type { Call } from './ask/call.ts';
import type { Wishes } from './ask/headers.ts';
import { accept, type Order } from './ask/submit.ts';
import { untilEnded } from './follow/until-ended.ts';

/**
 * `Prefer: respond-async`: makes the task; the caller comes back for it.
 * @returns the task of an equal call that was quicker: then nothing was answered.
 */
export async function answerLater(deps: EdgeDeps, call: Call, order: Order): Promise<TaskRow | null> {
  const { row, made } = await accept(deps, actorOf(call.req), order);
  if (!made) return row;
  await answerAccepted(deps, call, row);
  return null;
}

/** 202 and the task; with `wait=<s>` the answer itself, when the task ends in that time. */
export async function answerAccepted(deps: EdgeDeps, call: Call, row: TaskRow): Promise<void> {
  const { req, res, report, wishes } = call;
  report.by(row);
  res.set('x-mcpctl-task-id', row.id);
  const now = await heldBack(deps, { res, wishes, row });
  if (wishes.waitMs !== undefined && isTerminal(now.status))
    return void (await answerFrom(deps, call, { row: now }));
  const view = await taskShown(deps, actorOf(req), { row: now });
  res.status(202).location(`/api/v1/tasks/${row.id}`).json(view);
  report.finish(202, null);
}

/**
 * `Prefer: wait=<s>`: holds the answer until the task has ended, or that time is over, or this edge leaves. The
 * task is accepted: a Redis that is away makes the answer an early one, no error. @returns the row as it then is.
 */
export async function heldBack(
  deps: EdgeDeps,
  { res, wishes, row }: { res: Response; wishes: Wishes; row: TaskRow },
): Promise<TaskRow> {
  if (wishes.waitMs === undefined) return row;
  const { waitMs: withinMs } = wishes;
  return await whileThere(deps, { res, poolKey: row.poolName }, async (gone) => {
    const now = await untilEnded(deps, row, { withinMs, gone }).catch((thrown: unknown) => {
      deps.log.debug({ taskId: row.id, why: messageOf(thrown) }, 'an end could not be waited for');
      return row;
    });
    needStillGood(gone, row.id);
    return now;
  });
}
