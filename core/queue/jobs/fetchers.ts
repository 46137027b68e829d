import { randomUUID } from 'node:crypto';
import type { Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import type { Log } from '../../runtime/log.ts';
import { mayTeach } from '../link/taught.ts';
import { runKnownScript, runScript } from '../scripts.ts';
import type { HeldJob } from '../../task/let-go.ts';
import { failing } from '../task/closing.ts';
import { isErrorReply } from '../trouble.ts';
import { createFetcher, createQueues, KEPT_JOBS, LOCK_MS, type JobData } from './jobs.ts';

/** A job that was taken out of its queue. */
export interface FetchedJob extends HeldJob {
  taskId: string;
  jobId: string;
  /** Back to the head of its queue. */
  putBack(): Promise<void>;
  /** To the end of its queue. */
  putLast(): Promise<void>;
}

/** A fetcher costs some 40 kB; those of queues that nothing is taken from go, the least recently used first. */
const MOST_FETCHERS = 256;

interface Fetcher {
  worker: Worker<JobData>;
  /** Fetches under way, and jobs that have not ended: it must not be closed. */
  inUse: number;
}

/** No stack: the board shows what is stored. */
const failure = (code: string): Error => Object.assign(new Error(code), { stack: '' });

/** Takes jobs out of queues over one shared connection, whichever members they are for. */
export class Fetchers {
  readonly #deps: { redis: Redis; prefix: string; log: Log };
  readonly #fetchers = new Map<string, Fetcher>();
  readonly #queues: ReturnType<typeof createQueues>;

  constructor(deps: { redis: Redis; prefix: string; log: Log }) {
    this.#deps = deps;
    this.#queues = createQueues(deps.redis, deps.prefix);
  }

  /**
   * The next job of a queue, without waiting.
   * @param beside asks something of the job that this token gets. It is sent right after the fetch, in the same write, and
   * may come before it all the same.
   */
  async next<T>(
    queue: string,
    beside?: (token: string) => Promise<T>,
  ): Promise<(FetchedJob & { beside: Promise<T> | undefined }) | null> {
    const fetcher = this.#use(queue);
    const token = randomUUID();
    let job: Job<JobData> | undefined;
    try {
      const fetching = fetcher.worker.getNextJob(token, { block: false });
      // BullMQ gives its command within this turn; what is written in one turn goes out together.
      const asking = beside && new Promise<T>((resolve) => setImmediate(() => resolve(beside(token))));
      asking?.catch(() => undefined); // told to who awaits it; without a job nobody does
      job = await fetching;
      return job ? { ...this.#fetched(job, { queue, token, fetcher }), beside: asking } : null;
    } finally {
      if (!job) fetcher.inUse -= 1;
    }
  }

  /** Whether a look would find a job; a tenth of what a look costs. */
  async hasJobs(queue: string): Promise<boolean> {
    const { redis, prefix } = this.#deps;
    return (await redis.exists(`${prefix}:${queue}:wait`, `${prefix}:${queue}:prioritized`)) > 0;
  }

  /** A job that another process has taken, and left to us: its lock is replaced by one of ours. */
  jobTakenElsewhere(queue: string, jobId: string): HeldJob {
    const finish = (end: (job: Job, token: string) => Promise<unknown>, code = ''): Promise<void> =>
      this.#finish({ queue, jobId, code }, async () => {
        const { redis, prefix } = this.#deps;
        const token = randomUUID();
        const job = await this.#queues(queue).getJob(jobId);
        if (!job) return;
        await redis.set(`${prefix}:${queue}:${jobId}:lock`, token, 'PX', LOCK_MS, 'XX');
        await end(job, token);
      });
    return {
      complete: () => finish((job, token) => job.moveToCompleted(null, token, false)),
      fail: (code) => finish((job, token) => job.moveToFailed(failure(code), token, false), code),
    };
  }

  async close(): Promise<void> {
    const all = [...this.#fetchers.values()];
    this.#fetchers.clear();
    await Promise.all(all.map(({ worker }) => worker.close(true)));
  }

  #fetched(
    job: Job<JobData>,
    { queue, token, fetcher }: { queue: string; token: string; fetcher: Fetcher },
  ): FetchedJob {
    const { id: jobId = '', data } = job;
    const end = async (ending: () => Promise<unknown>): Promise<void> => {
      await this.#settle(jobId, ending);
      fetcher.inUse -= 1;
    };
    const finish = (code: string, ending: () => Promise<unknown>): Promise<void> =>
      end(() => this.#finish({ queue, jobId, code }, ending));
    return {
      taskId: data.T,
      jobId,
      complete: () => finish('', () => this.#complete(job, { queue, token })),
      fail: (code) => finish(code, () => job.moveToFailed(failure(code), token, false)),
      putBack: () => end(() => job.moveToWait(token)),
      putLast: () => end(() => this.#pass(queue, { jobId, token })),
    };
  }

  /** BullMQ's own way is there for who may bring no script to a Redis that an edge of an earlier release has taught. */
  async #complete(job: Job<JobData>, { queue, token }: { queue: string; token: string }): Promise<void> {
    const { id: jobId = '' } = job;
    const { redis, prefix } = this.#deps;
    const jobs = `${prefix}:${queue}:`;
    const names = ['active', 'completed', 'stalled', jobId, `${jobId}:lock`, 'events'];
    const keys = names.map((name) => jobs + name);
    const run = mayTeach(redis) ? runScript : runKnownScript;
    const answer = await run(redis, 'done', { keys, args: [jobId, token, KEPT_JOBS, jobs] });
    if (answer === undefined) await job.moveToCompleted(null, token, false);
  }

  async #pass(queue: string, { jobId, token }: { jobId: string; token: string }): Promise<void> {
    const { redis, prefix } = this.#deps;
    const names = ['active', 'wait', 'prioritized', 'marker', 'pc', 'stalled', jobId, `${jobId}:lock`];
    const keys = names.map((name) => `${prefix}:${queue}:${name}`);
    await runScript(redis, 'pass', { keys, args: [jobId, token] });
  }

  /**
   * BullMQ's script may be broken off in its middle, and says then, asked again, that the job is not with us: it would stand
   * nowhere, for good.
   */
  #finish(
    job: { queue: string; jobId: string; code: string },
    ending: () => Promise<unknown>,
  ): Promise<void> {
    const { redis, prefix } = this.#deps;
    return this.#settle(job.jobId, async () => {
      try {
        await ending();
      } catch (thrown) {
        if (!isErrorReply(thrown)) throw thrown;
        await runScript(redis, 'fail', failing({ namespace: prefix }, job, job.code));
      }
    });
  }

  async #settle(jobId: string, ending: () => Promise<unknown>): Promise<void> {
    try {
      await ending();
    } catch (thrown) {
      // Requeued meanwhile, or Redis came back empty: the fence has decided, the job is not ours to move.
      this.#deps.log.debug({ jobId, why: messageOf(thrown) }, 'a job was no longer ours to finish');
    }
  }

  #use(name: string): Fetcher {
    const { redis, prefix } = this.#deps;
    const fetcher = this.#fetchers.get(name) ?? { worker: createFetcher(redis, { prefix, name }), inUse: 0 };
    this.#fetchers.delete(name);
    this.#fetchers.set(name, fetcher);
    fetcher.inUse += 1;
    this.#evict();
    return fetcher;
  }

  #evict(): void {
    for (const [name, { worker, inUse }] of this.#fetchers) {
      if (this.#fetchers.size <= MOST_FETCHERS) return;
      if (inUse > 0) continue;
      this.#fetchers.delete(name);
      void worker.close(true);
    }
  }
}
