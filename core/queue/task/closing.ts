import type { Outcome } from '../../task/outcome.ts';
import type { TaskRef } from './fence.ts';
import { KEPT_JOBS } from '../jobs/jobs.ts';
import type { Keys } from '../keys.ts';
import type { StandingJob } from '../jobs/leftovers.ts';
import type { ScriptCall } from '../scripts.ts';

/**
 * `expire`: only if unclaimed. `handedBackAt`: only while it is handed back at this epoch, so that nobody who was
 * quicker with a requeue is undone. `orphan`: only if nobody has waited for it for long enough.
 */
export type CloseMode = 'cancel' | 'expire' | 'orphan' | { handedBackAt: number };

/** What close.lua is asked. */
export function closing(
  { keys, eventKeepMs }: { keys: Keys; eventKeepMs: number },
  ref: TaskRef,
  { mode, outcome }: { mode: CloseMode; outcome: Outcome },
): ScriptCall {
  const pool = keys.pool(ref.poolKey);
  const task = pool.task(ref.taskId);
  return {
    keys: [task.fence, task.stream, task.input, pool.run, pool.back, task.attached, pool.orphans],
    args: [
      ref.taskId,
      typeof mode === 'string' ? mode : 'giveup',
      JSON.stringify(outcome),
      eventKeepMs,
      task.channel,
      typeof mode === 'string' ? '' : mode.handedBackAt,
    ],
  };
}

/** What fail.lua is asked: the job stays on the board, as failed with this code; with '' it goes. */
export function failing(
  keys: Pick<Keys, 'namespace'>,
  { queue, jobId }: Pick<StandingJob, 'queue' | 'jobId'>,
  code: string,
): ScriptCall {
  const prefix = `${keys.namespace}:${queue}:`;
  const names = ['wait', 'prioritized', 'active', 'failed', 'stalled', jobId, `${jobId}:lock`];
  return { keys: names.map((name) => prefix + name), args: [jobId, code, KEPT_JOBS, prefix] };
}
/** What became of a close (close.lua): whose claim it cut short, and the job that is to go. */
export type CloseAnswer =
  | {
      kind: 'closed';
      session: string;
      boot: string;
      /** '' = nobody had it. */
      claim: string;
      /** Something of its answer was shown to somebody. */
      wasShown: boolean;
      llmId: string;
      claimedAt: Date | null;
      job: string;
      q: string;
    }
  | { kind: 'ended' | 'claimed' | 'attached' };

export function closeAnswerOf(answer: unknown): CloseAnswer {
  const [kind, session = '', boot = '', claim = '', job = '', q = '', llmId = '', at = '', shown = ''] =
    answer as string[];
  if (kind === 'ended' || kind === 'claimed' || kind === 'attached') return { kind };
  const claimedAt = at === '' ? null : new Date(Number(at));
  const wasShown = shown !== '' && shown === claim;
  return { kind: 'closed', session, boot, claim, wasShown, llmId, claimedAt, job, q };
}
