import type { Redis } from 'ioredis';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';

/** A job as it stands in a queue. */
export interface StandingJob {
  taskId: string;
  jobId: string;
  poolKey: string;
  /** Without prefix: `{P}` or `{P}.<llm id>`. */
  queue: string;
}

/** How many of each list are looked at; the next look sees others, as these go. */
const MOST = 1_000;

/** Jobs that wait or are with a worker, in these queues. */
export async function standingJobs(
  redis: Redis,
  keys: Keys,
  queues: readonly { poolKey: string; queue: string }[],
): Promise<StandingJob[]> {
  const pipeline = redis.pipeline();
  for (const { queue } of queues) {
    const prefix = `${keys.namespace}:${queue}`;
    pipeline.lrange(`${prefix}:wait`, -MOST, -1);
    pipeline.lrange(`${prefix}:active`, -MOST, -1);
    pipeline.zrange(`${prefix}:prioritized`, '0', String(MOST - 1));
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  return answers.flatMap(([error, ids], i) => {
    if (error || !Array.isArray(ids)) return []; // whoever adds or takes a job there mends it
    const place = queues[Math.floor(i / 3)];
    return place ? ids.map((id: unknown) => ({ ...ofTask(String(id)), ...place })) : [];
  });
}

/** Which of these jobs stand in a list still: one that is finished, or is no job any more, may have been left in one. */
export async function stillStanding(
  redis: Redis,
  keys: Keys,
  jobs: readonly StandingJob[],
): Promise<StandingJob[]> {
  if (jobs.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const { queue, jobId } of jobs)
    pipeline.hmget(`${keys.namespace}:${queue}:${jobId}`, 'timestamp', 'finishedOn');
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  const standing = new Set<StandingJob>();
  const unsure: StandingJob[] = [];
  jobs.forEach((job, at) => {
    const fields = answers[at]?.[1];
    const isUnfinished = Array.isArray(fields) && fields[0] !== null && fields[1] === null;
    if (isUnfinished) standing.add(job);
    else unsure.push(job);
  });
  for (const job of await inLists(redis, keys, unsure)) standing.add(job);
  return jobs.filter((job) => standing.has(job));
}

/** A list is searched for these few alone, from the end where those stand that have waited longest. */
async function inLists(redis: Redis, keys: Keys, jobs: readonly StandingJob[]): Promise<StandingJob[]> {
  if (jobs.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const { queue, jobId } of jobs) {
    const prefix = `${keys.namespace}:${queue}`;
    pipeline.lpos(`${prefix}:wait`, jobId, 'RANK', -1, 'MAXLEN', MOST);
    pipeline.lpos(`${prefix}:active`, jobId, 'RANK', -1, 'MAXLEN', MOST);
    pipeline.zscore(`${prefix}:prioritized`, jobId);
  }
  const answers = (await orUnavailable(pipeline.exec())) ?? [];
  return jobs.filter((_, at) =>
    answers.slice(at * 3, at * 3 + 3).some(([error, place]) => !error && place !== null),
  );
}

/** A job's id is `T-<epoch>` (Dispatch). */
function ofTask(jobId: string): { taskId: string; jobId: string } {
  return { taskId: jobId.slice(0, jobId.lastIndexOf('-')), jobId };
}
