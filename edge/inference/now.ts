import type { Response } from 'express';
import type { Actor } from '../../core/access.ts';
import { keptMs } from '../../core/member/presence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { whenGone } from '../http/gone.ts';
import { answerStream, answerWhole } from './answer/answer.ts';
import type { Call } from './ask/call.ts';
import { formOf } from './form/index.ts';
import { sayLeft } from './answer/left.ts';
import { dropOnceDelivered } from './answer/retention.ts';
import { submitAndFollow, type Order, type Submitted } from './ask/submit.ts';
import { TaskWait } from './follow/wait.ts';

/**
 * Makes the task and waits with its caller to the last byte.
 * @returns the task of an equal call that was quicker: then nothing was answered.
 */
export async function answerNow(deps: EdgeDeps, call: Call, order: Order): Promise<TaskRow | null> {
  const { req, res } = call;
  const { streaming } = order.request;
  const release = streaming ? deps.caps.hold(actorOf(req), { bytes: 0, streaming }) : () => undefined;
  untilClosed(res, release);
  const { gone, forget } = whenGone(deps, res, order.target.poolKey);
  try {
    const submitted = await submitAndFollow(deps, actorOf(req), order);
    if (submitted.follower) await answerSubmitted(deps, { call, order, submitted, gone });
    else release(); // who answers from the other's task asks for room once more
    return submitted.follower ? null : submitted.row;
  } finally {
    forget();
  }
}

/** What SDKs read of how much is left: of the tasks that one user may have open, the only limit per user. */
function limitsOf({ caps }: EdgeDeps, actor: Actor): Record<string, string> {
  const { limit, left } = caps.tasksLeft(actor);
  return {
    'x-ratelimit-limit-requests': String(limit),
    'x-ratelimit-remaining-requests': String(left),
    'x-ratelimit-reset-requests': left > 0 ? '0s' : '5s',
  };
}

interface Waiting {
  call: Call;
  order: Order;
  submitted: Submitted;
  gone: AbortSignal;
}

async function answerSubmitted(deps: EdgeDeps, waiting: Waiting): Promise<void> {
  const { call, order, submitted } = waiting;
  const { res, report } = call;
  const { row, attachment, follower } = submitted;
  const form = formOf(row, order.request);
  report.taskId = row.id;
  res.set('x-mcpctl-task-id', row.id).set(limitsOf(deps, actorOf(call.req)));
  try {
    const wait = newWait(deps, waiting, res);
    const { members } = order.target;
    const { keepAlive = deps.config.sseKeepAlive } = call.wishes;
    const how = order.request.streaming ? answerStream : answerWhole;
    const answered = await how({ deps, res, row, wait, report, form, keepAlive, members });
    if (answered === 'left') {
      const closed = attachment.leave();
      await sayLeft(deps, { row, closed, report, res, form, gone: waiting.gone });
    } else dropOnceDelivered(deps, row, res);
    if (wait.over) attachment.over();
  } finally {
    void attachment.leave(); // never rejects; says nothing of a task that is over
    follower.close();
  }
}

function newWait(deps: EdgeDeps, { call, order, submitted, gone }: Waiting, res: Response): TaskWait {
  const { admissionMs, keepAliveMs } = deps.config;
  // Until the status is committed a stream may still become a real 503; afterwards silence is what to avoid.
  const quietMs = (): number => (order.request.streaming && !res.headersSent ? admissionMs : keepAliveMs);
  const unservedMs = Math.max(call.wishes.waitMs ?? 0, order.target.returning ? keptMs : 0);
  return new TaskWait(deps, { submitted, target: order.target, gone, quietMs, unservedMs }, order.queueMs);
}
