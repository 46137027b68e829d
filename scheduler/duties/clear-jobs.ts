import { failureOf } from '../../core/flow/deps.ts';
import { storedIdSchema } from '../../core/names.ts';
import type { StandingJob } from '../../core/queue/jobs/leftovers.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const outcome = {
  kind: 'cancelled',
  code: 'task_cancelled',
  message: 'The task was over before it was taken.',
} as const;

/** Tasks asked about in one query. */
const TOGETHER = 1_000;
/** A turn ends after so many queues, or jobs; the next goes on, so that what stands costs the same however much it is. */
const QUEUES = 200;
const JOBS = 500;
const QUEUES_AT_ONCE = 20;
/** What looked as if it were over is looked at once more, no more of it than this. */
const MOST_SUSPECTS = 10_000;
/** Queues of llms that are gone; the longest gone come first. */
const MOST_GONE = 500;

type Place = Pick<StandingJob, 'poolKey' | 'queue'>;

/**
 * Removes jobs whose task is over or was never accepted: a cancel that could not take its job away, the job of a
 * worker that died while it answered, or one that came to the queue after its caller had been told 503. Most nobody
 * could claim; they would stand in the queue, and on the board, for good. A job goes when two looks found it so, a turn apart:
 * between an end and the worker's own farewell it is normal. One whose task ended with an error stays as failed, with
 * the code, for the board.
 */
export function createClearJobsDuty(deps: DutyDeps): Duty {
  const { queue, registry, flow, clock, log } = deps;
  let suspects: StandingJob[] = [];
  /** Queues that are still to be looked into before all are asked for again. */
  let ahead: Place[] = [];

  const nextJobs = async (): Promise<StandingJob[]> => {
    if (ahead.length === 0) ahead = await queuesNow(deps);
    const jobs: StandingJob[] = [];
    for (let looked = 0; ahead.length > 0 && looked < QUEUES && jobs.length < JOBS;) {
      const some = ahead.splice(0, QUEUES_AT_ONCE);
      looked += some.length;
      jobs.push(...(await queue.jobs.standing(some)));
    }
    return jobs;
  };
  const overIn = async (jobs: readonly StandingJob[]): Promise<StandingJob[]> => {
    const over: StandingJob[] = [];
    for (let at = 0; at < jobs.length; at += TOGETHER) {
      const some = jobs.slice(at, at + TOGETHER);
      const ids = some.map((job) => job.taskId).filter((id) => storedIdSchema.safeParse(id).success);
      const open = await registry.tasks.openAmong(ids);
      over.push(...some.filter((job) => !open.has(job.taskId)));
    }
    return over;
  };

  const clear = async (job: StandingJob): Promise<number> => {
    // A worker that runs it all the same learns from its next beat that it may not.
    await queue.dispatch.close(job, 'cancel', outcome);
    const row = storedIdSchema.safeParse(job.taskId).success
      ? await registry.tasks.byId(job.taskId)
      : undefined;
    return (await queue.dispatch.remove(job, row && failureOf(row))) ? 1 : 0;
  };
  const each = new EachItem<StandingJob>({
    name: 'clear-jobs',
    idOf: ({ jobId }) => jobId,
    act: async ([job]) => (job ? await clear(job) : 0),
    lanes: 8,
    clock,
    log,
  });
  return {
    name: 'clear-jobs',
    everyMs: 5_000,
    async run(signal) {
      const twice = await overIn(await queue.jobs.stillStanding(suspects));
      const round = await each.run(twice, signal);
      if (round.did > 0) flow.bus.emit('scheduler.removed', { kind: 'job', count: round.did });
      const left = round.left + round.failed > 0 ? twice : [];
      // Jobs are read before rows: a row is there before its job.
      suspects = [...left, ...(await overIn(await nextJobs()))].slice(0, MOST_SUSPECTS);
      return announced(deps, 'clear-jobs', round);
    },
  };
}

async function queuesNow({ queue, registry, pools: openPools }: DutyDeps): Promise<Place[]> {
  const llms = await registry.llms.places();
  const open = await openPools.list();
  // Of these nothing else tells any more, and they are not removed while jobs stand in them (clear-queues).
  const gone = await registry.goneQueues.list(MOST_GONE);
  const pools = new Set([...open, ...[...llms, ...gone].map(({ poolKey }) => poolKey)]);
  return [
    ...[...pools].map((poolKey) => ({ poolKey, queue: queue.keys.pool(poolKey).queue() })),
    ...llms.map(({ poolKey, id }) => ({ poolKey, queue: queue.keys.pool(poolKey).queue(id) })),
    ...gone.map(({ poolKey, llmId }) => ({ poolKey, queue: queue.keys.pool(poolKey).queue(llmId) })),
  ];
}
