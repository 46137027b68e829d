import { graceMsOf, policyText, type Policy } from '../../task/disconnect.ts';
import { LARGE_BODY_BYTES } from '../../text/large-body.ts';
import type { Priority } from '../../task/task.ts';
import type { KeptHead } from '../../task/head.ts';
import type { Fence, TaskRef } from './fence.ts';
import type { Keys } from '../keys.ts';
import type { ScriptCall } from '../scripts.ts';
import { BACKGROUND_SCORE, MOST_ALONE, TURNS_KEPT_MS, writtenJob } from '../jobs/turns.ts';
import { WAITER_LEASE_MS } from './waiters.ts';

export interface Submission extends TaskRef {
  epoch: number;
  /** Owners of a queue take turns. */
  ownerId: string;
  body: string;
  head: KeptHead;
  priority: Priority;
  /** The llm id of a pinned task. */
  pin?: string | undefined;
  /** How long the task may wait; the fence lives a little longer. */
  waitMs: number;
  /** What happens when nobody waits for it any more. */
  policy: Policy;
  /** The first who waits: their lease begins with the task. */
  attachment?: string | undefined;
  /** The edge that waits for it, where it hears of the task by its channel of the pool (link/pool-channels.ts). */
  edge?: string | undefined;
}

/** How long members that may have too little room leave a task to those that have more. */
const SPARED_MS = 5_000;

/** A fence, and what was asked, outlive the waiting by so much. */
export const FENCE_MARGIN_MS = 10 * 60_000;

export const jobIdOf = ({ taskId, epoch }: Pick<Submission, 'taskId' | 'epoch'>): string =>
  `${taskId}-${epoch}`;

/** What enqueue.lua is asked. @param seen as for `Dispatch.enqueue`. @param turns where it is written down who has had turns. @param withJob adds an interactive job, if it waits for no other owner's. */
export function laying(
  keys: Keys,
  turns: string,
  {
    task: s,
    seen,
    withJob = false,
  }: { task: Submission; seen?: Pick<Fence, 'epoch' | 'claim'> | null | undefined; withJob?: boolean },
): ScriptCall {
  const pool = keys.pool(s.poolKey);
  const task = pool.task(s.taskId);
  const queue = `${keys.namespace}:${pool.queue(s.pin)}`;
  const bytes = Buffer.byteLength(s.body);
  const isLarge = bytes > LARGE_BODY_BYTES;
  const jobId = jobIdOf(s);
  const addsJob = withJob && s.priority === 'interactive';
  return {
    keys: [
      task.fence,
      task.input,
      task.stream,
      task.attached,
      pool.orphans,
      `${queue}:wait`,
      `${queue}:prioritized`,
      turns,
      ...(addsJob ? [`${queue}:${jobId}`, `${queue}:marker`, `${queue}:meta`] : []),
    ],
    args: [
      s.epoch,
      jobId,
      s.pin === undefined ? '' : `.${s.pin}`,
      s.waitMs + FENCE_MARGIN_MS,
      isLarge ? '' : s.body,
      JSON.stringify(s.head),
      s.taskId,
      policyText(s.policy),
      graceMsOf(s.policy) ?? '',
      s.attachment ?? '',
      WAITER_LEASE_MS,
      (s.head.unfit ?? []).join(),
      seen === undefined ? '' : seen === null ? 'none' : `${seen.epoch} ${seen.claim}`,
      s.priority,
      BACKGROUND_SCORE,
      isLarge ? bytes : '',
      (s.head.spared ?? []).join(),
      SPARED_MS,
      s.ownerId,
      TURNS_KEPT_MS,
      MOST_ALONE,
      s.edge ?? '',
      ...(addsJob ? writtenJob(s.taskId, { jobId }) : []),
    ],
  };
}
