import { unreadableTask } from '../../task/hand-back.ts';
import type { Log } from '../../runtime/log.ts';
import { handBack, type Refusal } from '../task/claim.ts';
import type { Redis } from '../link/connect.ts';
import type { TakenJob } from './consumer.ts';
import type { Keys } from '../keys.ts';

/** How long a task is put aside by a member that has failed it, or leaves it to others; doubled each time, while no other has taken it. */
const DELAY_MS = 100;
const LONGEST_DELAY_MS = 2_000;

/**
 * What becomes of a job whose task a member may not have: finished, passed on, or put aside for another member. One that
 * it cannot read counts as an attempt of this member: others may be newer, and after three it ends with the reason.
 */
export async function refuse(
  { log, redis, keys }: { log: Log; redis: Redis; keys: Keys },
  { job, llmId, poolKey, claimId }: { job: TakenJob; llmId: string; poolKey: string; claimId: string },
  why: Refusal,
): Promise<void> {
  const { taskId } = job;
  if (typeof why === 'object' && 'unreadable' in why) {
    log.warn({ taskId, llmId }, 'a task could not be read; it goes to another member');
    const claim = { taskId, poolKey, claimId, epoch: why.unreadable };
    if ((await handBack({ redis, keys }, claim, unreadableTask)) !== 'ok') await job.complete();
    return; // the job stays for the requeue to move
  }
  if (why === 'unfit') return job.pass();
  // Whoever takes for it closes its gate; at the head of the queue it is the next one's.
  if (why === 'held') return job.later(0);
  if (typeof why === 'string') {
    log.debug({ taskId, llmId, why }, 'a job was not for this member');
    return await job.complete();
  }
  log.debug({ taskId, llmId, met: why.met }, 'a task is put aside for other members');
  job.later(Math.min(DELAY_MS * 2 ** (why.met - 1), LONGEST_DELAY_MS));
}
