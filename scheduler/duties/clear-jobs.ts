import { failureOf } from '../../core/flow/deps.ts';
import { uuidSchema } from '../../core/names.ts';
import { standingJobs, type StandingJob } from '../../core/queue/leftovers.ts';
import type { Duty, DutyDeps } from './duty.ts';

const outcome = {
  kind: 'cancelled',
  code: 'task_cancelled',
  message: 'The task was over before it was taken.',
} as const;

/** Tasks asked about in one query. */
const TOGETHER = 1_000;

/**
 * Removes jobs whose task is over or was never accepted: a cancel that could not take its job away, the job of a
 * worker that died while it answered, or one that came to the queue after its caller had been told 503. Most nobody
 * could claim; they would stand in the queue, and on the board, for good. A job goes when two looks found it so:
 * between an end and the worker's own farewell it is normal. One whose task ended with an error stays as failed, with
 * the code, for the board.
 */
export function createClearJobsDuty({ queue, registry, flow }: DutyDeps): Duty {
  let before = new Set<string>();

  const queuesNow = async (): Promise<Pick<StandingJob, 'poolKey' | 'queue'>[]> => {
    const llms = await registry.llms.places();
    const open = await registry.tasks.openPools();
    const pools = new Set([...open, ...llms.map((llm) => llm.poolKey)]);
    return [
      ...[...pools].map((poolKey) => ({ poolKey, queue: queue.keys.pool(poolKey).queue() })),
      ...llms.map(({ poolKey, id }) => ({ poolKey, queue: queue.keys.pool(poolKey).queue(id) })),
    ];
  };
  const overIn = async (jobs: readonly StandingJob[]): Promise<StandingJob[]> => {
    const over: StandingJob[] = [];
    for (let at = 0; at < jobs.length; at += TOGETHER) {
      const some = jobs.slice(at, at + TOGETHER);
      const ids = some.map((job) => job.taskId).filter((id) => uuidSchema.safeParse(id).success);
      const open = await registry.tasks.openAmong(ids);
      over.push(...some.filter((job) => !open.has(job.taskId)));
    }
    return over;
  };

  return {
    name: 'clear-jobs',
    everyMs: 5_000,
    async run(signal) {
      // Jobs are read before rows: a row is there before its job.
      const over = await overIn(await standingJobs(queue.redis, queue.keys, await queuesNow()));
      let did = 0;
      for (const job of over) {
        if (signal.aborted) return did;
        if (!before.has(job.jobId)) continue;
        // A worker that runs it all the same learns from its next beat that it may not.
        await queue.dispatch.close(job, 'cancel', outcome);
        const row = uuidSchema.safeParse(job.taskId).success
          ? await registry.tasks.byId(job.taskId)
          : undefined;
        if (await queue.dispatch.remove(job, row && failureOf(row))) did += 1;
      }
      if (did > 0) flow.bus.emit('scheduler.removed', { kind: 'job', count: did });
      before = new Set(over.map((job) => job.jobId));
      return did;
    },
  };
}
