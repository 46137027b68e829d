import type { Log } from '../runtime/log.ts';
import type { Refusal } from './claim.ts';
import type { TakenJob } from './consumer.ts';

/** How long a task is put aside by a member that has failed it; doubled each time, while no other has taken it. */
const DELAY_MS = 100;
const LONGEST_DELAY_MS = 2_000;

/** What becomes of a job whose task a member may not have: finished, passed on, or put aside for another member. */
export async function refuse(
  { log }: { log: Log },
  { job, llmId }: { job: TakenJob; llmId: string },
  why: Refusal,
): Promise<void> {
  const { taskId } = job;
  if (why === 'unfit') return job.pass();
  if (typeof why === 'string') {
    log.debug({ taskId, llmId, why }, 'a job was not for this member');
    return await job.done();
  }
  log.debug({ taskId, llmId, met: why.met }, 'a task that this member failed is put aside');
  job.later(Math.min(DELAY_MS * 2 ** (why.met - 1), LONGEST_DELAY_MS));
}
