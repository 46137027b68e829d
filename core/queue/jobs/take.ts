import type { Redis } from 'ioredis';
import { z } from 'zod';
import { mayTeach } from '../link/taught.ts';
import { mending } from '../mend.ts';
import { runKnownScript, teachScript, type ScriptCall } from '../scripts.ts';
import { claimantWords, readClaim, type Claimant, type EarlyClaim } from '../task/claim.ts';
import type { Keys } from '../keys.ts';
import { LOCK_MS } from './jobs.ts';

/** For whom the task of a job is claimed as the job is taken. */
export interface Early {
  keys: Keys;
  poolKey: string;
  by: Claimant;
}

export interface Taken {
  queue: string;
  jobId: string;
  taskId: string;
  /** More waits in that queue. */
  more: boolean;
  early: EarlyClaim | null;
}

const answerSchema = z.array(z.string());
const NEXT_TO = ['wait', 'active', 'prioritized', 'marker'] as const;

/** The task of a job: its id is that, and the epoch. */
const taskOf = (jobId: string): string => jobId.slice(0, Math.max(0, jobId.lastIndexOf('-')));

/**
 * The next job of the first of these queues, of one pool, that has any: of a claimant's own owner, else of whoever's turn it is. @param token becomes the job's lock.
 * @returns null where nothing waits; undefined, and nothing was done, where this Redis was taught by an edge that does not know how.
 */
export async function takeJob(
  redis: Redis,
  {
    prefix,
    queues,
    token,
    early,
  }: { prefix: string; queues: readonly string[]; token: string; early: Early | undefined },
): Promise<Taken | null | undefined> {
  const jobs = queues.map((queue) => `${prefix}:${queue}:`);
  const pool = early?.keys.pool(early.poolKey);
  const task = pool?.task('*');
  const who = early ? claimantWords(early.by) : ['', '', '', '', '', ''];
  const call = {
    // Without a claim the first is not looked at.
    keys: [
      pool?.run ?? `${jobs[0] ?? ''}active`,
      ...jobs.flatMap((its) => NEXT_TO.map((name) => its + name)),
    ],
    args: [...who, token, LOCK_MS, task?.fence ?? '', task?.input ?? '', early?.by.owner ?? '', ...jobs],
  };
  const answer = await ask(redis, call);
  if (answer === undefined) return undefined;
  const [nth, jobId, more, ...said] = answerSchema.parse(answer);
  const queue = queues[Number(nth) - 1];
  if (queue === undefined || jobId === undefined) return null;
  const claim = early && { claimId: early.by.claimId, answer: said.length > 0 ? readClaim(said) : null };
  return { queue, jobId, taskId: taskOf(jobId), more: more === '1', early: claim ?? null };
}

/** Who may bring a script does, once; others' Redis may have been taught by an edge of an earlier release. */
async function ask(redis: Redis, call: ScriptCall): Promise<unknown> {
  const run = (): Promise<unknown> => mending(redis, call.keys, () => runKnownScript(redis, 'take', call));
  const answer = await run();
  if (answer !== undefined || !mayTeach(redis)) return answer;
  await teachScript(redis, 'take');
  return await run();
}
