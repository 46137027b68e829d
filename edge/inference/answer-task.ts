import type { Follower } from '../../core/queue/task/follow.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { LEFT } from '../http/context.ts';
import { deliveryOf } from '../http/delivered.ts';
import { whyGone } from '../http/gone.ts';
import { EventWriter } from '../http/sse.ts';
import type { Attachment } from '../waiting/waiters.ts';
import { messageOf } from '../../core/errors.ts';
import {
  answerStream,
  answerWhole,
  endWithError,
  sawNothing,
  type Answerer,
  type Answering,
  type Saw,
} from './answer/answer.ts';
import { unreported } from './answer/report.ts';
import { lookingOn } from './follow/duties.ts';
import { dropOnceDelivered } from './answer/retention.ts';
import { TaskWait, type Wait } from './follow/wait.ts';

/** To whom a task is answered, in what form, and what the wait for it owes the task. */
export interface How extends Omit<Answering, 'deps' | 'wait'>, Wait {
  row: TaskRow;
  /** Closed at the end. */
  follower: Follower;
  /** Says that somebody waits; given back at the end. null: the task had ended. */
  attachment: Attachment | null;
  /** Each event as it comes, or the whole at the end. */
  streaming: boolean;
  /** In place of both. */
  answerer?: Answerer | undefined;
}

/**
 * Waits for a task with one caller and answers it to the last byte: whoever made it, one who makes an equal call, or one
 * who reads its stream.
 * @returns whether its turn goes on behind it: then nothing was answered.
 * @throws McpctlError where the answer could still become an error with a status.
 */
export async function answerTask(deps: EdgeDeps, how: How): Promise<boolean> {
  const { res, row, follower, attachment } = how;
  const wait = new TaskWait(deps, how);
  const saw = sawNothing(how);
  let isWatched = false;
  try {
    const answer = how.answerer ?? (how.streaming ? answerStream : answerWhole);
    const answered = await answer({ ...how, deps, wait }, saw);
    if (answered === 'left') {
      await sayLeft(deps, how);
      isWatched = watchOn(deps, how, saw);
    } else if (answered === 'answered') dropOnceDelivered(deps, row, res);
    if (wait.over) attachment?.over();
    return answered === 'goes on';
  } finally {
    void attachment?.leave(); // never rejects; says nothing of a task that is over
    if (!isWatched) follower.close();
  }
}

/**
 * A turn goes on without its caller, and its thread is to hold what was shown of it: this edge, which alone knows that, reads on to
 * the end. Where Redis has lost the answer meanwhile, the turn ends with what there was, and nobody answers it anew.
 * @returns whether it is watched; of one user no more than a few are.
 */
function watchOn(deps: EdgeDeps, how: How, saw: Saw): boolean {
  const { row, follower } = how;
  const goesOn = row.turnId !== null && row.onDisconnect === 'continue';
  if (!goesOn || saw.shown === null || deps.leaving.aborted) return false;
  const room = deps.leftTurns.enter(row.ownerId);
  if (!room) return false;
  const { report: _told, ...others } = how;
  const on = {
    ...others,
    deps,
    gone: deps.leaving,
    report: unreported,
    keepAlive: 'off',
    ...lookingOn(deps, row),
  } as const;
  answerStream({ ...on, wait: new TaskWait(deps, on) }, saw)
    .catch((thrown: unknown) =>
      deps.log.debug(
        { taskId: row.id, why: messageOf(thrown) },
        'a turn whose caller left is watched no more',
      ),
    )
    .finally(() => {
      room();
      follower.close();
    });
  return true;
}

/**
 * The wait is over without an end: the caller has gone, or is told why it is we who end it: this edge leaves, or
 * their token is not good any more. Whom we end is told first: Redis may be away.
 */
async function sayLeft(deps: EdgeDeps, how: How): Promise<void> {
  const { row, res, report, form, gone, attachment } = how;
  const leaving = attachment?.leave();
  const error = whyGone(gone, row.id);
  if (error === null) {
    const ended = await leaving; // where the task ended with its caller
    if (ended) report.settled(ended);
    return report.finish(LEFT, 'task_cancelled');
  }
  if (!res.headersSent || !how.streaming) throw error;
  report.failed(error);
  await endWithError(new EventWriter(res, deliveryOf(deps), form.lines), form.error(error));
}
