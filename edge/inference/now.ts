import type { Actor } from '../../core/access.ts';
import { keptMs } from '../../core/member/presence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { whileThere } from '../http/gone.ts';
import { answerTask } from './answer-task.ts';
import type { Call } from './ask/call.ts';
import { submitAndFollow, type Order, type Submitted } from './ask/submit.ts';
import { MakersDuties } from './follow/duties.ts';
import { formOf } from './form/index.ts';

/**
 * Makes the task and waits with its caller to the last byte.
 * @returns the task of an equal call that was quicker: then nothing was answered.
 */
export async function answerNow(deps: EdgeDeps, call: Call, order: Order): Promise<TaskRow | null> {
  const { req, res } = call;
  const { streaming } = order.request;
  const release = streaming ? deps.caps.hold(actorOf(req), { bytes: 0, streaming }) : () => undefined;
  untilClosed(res, release);
  return await whileThere(deps, { res, poolKey: order.target.poolKey }, async (gone) => {
    const submitted = await submitAndFollow(deps, actorOf(req), order);
    if (submitted.follower) await answerSubmitted(deps, { call, order, submitted, gone });
    else release(); // who answers from the other's task asks for room once more
    return submitted.follower ? null : submitted.row;
  });
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

export interface Waiting {
  call: Call;
  order: Order;
  submitted: Submitted;
  gone: AbortSignal;
  /** As `Answering` has it. */
  followsTurn?: boolean;
}

/** Answers the caller of a task that was just submitted, to the last byte. @returns as `answerTask`. */
export async function answerSubmitted(
  deps: EdgeDeps,
  { call, order, submitted, gone, followsTurn = false }: Waiting,
): Promise<boolean> {
  const { res, report, wishes } = call;
  const { target, queueMs } = order;
  const { streaming } = order.request;
  const { row } = submitted;
  report.taskId = row.id;
  res.set('x-mcpctl-task-id', row.id).set(limitsOf(deps, actorOf(call.req)));
  const { admissionMs, keepAliveMs, sseKeepAlive } = deps.config;
  const unservedMs = Math.max(wishes.waitMs ?? 0, target.returning ? keptMs : 0);
  return await answerTask(deps, {
    ...submitted,
    followsTurn,
    asksOnce: order.key === null,
    res,
    report,
    gone,
    streaming,
    form: formOf(row, order.request),
    members: target.members,
    keepAlive: wishes.keepAlive ?? sseKeepAlive,
    // Until the status is committed a stream may still become a real 503; afterwards silence is what to avoid.
    quiet: call.own?.quiet ?? { afterMs: () => (streaming && !res.headersSent ? admissionMs : keepAliveMs) },
    answerer: call.own?.answerer,
    duties: new MakersDuties(deps, { row, target, queueMs, unservedMs }),
  });
}
