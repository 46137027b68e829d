import { randomUUID } from 'node:crypto';
import { Job, type Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import type { Log } from '../../runtime/log.ts';
import { mayTeach } from '../link/taught.ts';
import { runKnownScript, runScript } from '../scripts.ts';
import type { HeldJob } from '../../task/let-go.ts';
import { claimFetched, type EarlyClaim } from '../task/claim.ts';
import { failing } from '../task/closing.ts';
import { isErrorReply } from '../trouble.ts';
import { createFetcher, createQueues, KEPT_JOBS, LOCK_MS, type JobData } from './jobs.ts';
import { layMarker } from './markers.ts';
import { takeJob, type Early } from './take.ts';
import { JOB_NAME } from './turns.ts';

/** A job that was taken out of its queue. */
export interface FetchedJob extends HeldJob {
  taskId: string;
  jobId: string;
  /** Back to the head of its queue. */
  putBack(): Promise<void>;
  /** To the end of its queue. */
  putLast(): Promise<void>;
}

/** With what was asked for with it. */
export interface Fetched extends FetchedJob {
  /** More may wait where it came from. */
  more: boolean;
  /** Null: none was asked for, or that came too early. */
  early: EarlyClaim | null;
}

/** A job as it is taken. */
interface Standing {
  queue: string;
  jobId: string;
  taskId: string;
  token: string;
}

/** A fetcher costs some 40 kB; those of queues that nothing is taken from go, the least recently used first. */
const MOST_FETCHERS = 256;

interface Fetcher {
  worker: Worker<JobData>;
  /** What is under way with it: it must not be closed. */
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
   * The next job of the first of these queues that has any, without waiting.
   * @param early for whom its task is claimed with it. @param token of this one question: asked again under it, with the same claim, it finds
   *   what it took, where no answer had come.
   */
  async next(
    queues: readonly string[],
    early?: Early,
    token: string = randomUUID(),
  ): Promise<Fetched | null> {
    const { redis, prefix } = this.#deps;
    const taken = await takeJob(redis, { prefix, queues, token, early });
    if (taken === undefined) return await this.#nextByBull(queues, early);
    return taken && { ...this.#fetched({ ...taken, token }), more: taken.more, early: taken.early };
  }

  /** For who may bring no script to a Redis that an edge of an earlier release has taught. */
  async #nextByBull(queues: readonly string[], early: Early | undefined): Promise<Fetched | null> {
    for (const queue of queues) {
      const taken = await this.#with(queue, (worker) => this.#fetch(worker, queue, early));
      if (taken) return { ...this.#fetched(taken), more: true, early: taken.early };
    }
    return null;
  }

  async #fetch(
    worker: Worker<JobData>,
    queue: string,
    early: Early | undefined,
  ): Promise<(Standing & Pick<Fetched, 'early'>) | null> {
    const { redis } = this.#deps;
    const token = randomUUID();
    const fetching = worker.getNextJob(token, { block: false });
    // BullMQ gives its command within this turn; what is written in one turn goes out together.
    const asking = new Promise<EarlyClaim | null>((resolve) => {
      const ask = () => early && claimFetched({ redis, ...early }, { queue, token, ...early }, early.by);
      setImmediate(() => resolve(ask() ?? null));
    });
    asking.catch(() => undefined); // told to who awaits it; without a job nobody does
    const job = await fetching;
    return job ? { queue, token, jobId: job.id ?? '', taskId: job.data.T, early: await asking } : null;
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

  #fetched({ queue, jobId, taskId, token }: Standing): FetchedJob {
    const finish = (code: string, ending: () => Promise<unknown>): Promise<void> =>
      this.#settle(jobId, () => this.#finish({ queue, jobId, code }, ending));
    const byBull = <T>(ending: (job: Job<JobData>) => Promise<T>): Promise<T> =>
      this.#with(queue, (worker) => ending(new Job<JobData>(worker, JOB_NAME, { T: taskId }, {}, jobId)));
    const putBack = async (): Promise<void> => {
      await byBull((job) => job.moveToWait(token));
      // BullMQ lays none beside a job that has a priority.
      await layMarker(this.#deps.redis, { namespace: this.#deps.prefix }, queue);
    };
    const complete = async (): Promise<void> => {
      const answer = await this.#complete(queue, { jobId, token });
      if (answer === undefined) await byBull((job) => job.moveToCompleted(null, token, false));
    };
    return {
      taskId,
      jobId,
      complete: () => finish('', complete),
      fail: (code) => finish(code, () => byBull((job) => job.moveToFailed(failure(code), token, false))),
      putBack: () => this.#settle(jobId, putBack),
      putLast: () => this.#settle(jobId, () => this.#pass(queue, { jobId, token })),
    };
  }

  /** @returns undefined, and nothing was done, where this Redis was taught by an edge that does not know how. */
  async #complete(queue: string, { jobId, token }: { jobId: string; token: string }): Promise<unknown> {
    const { redis, prefix } = this.#deps;
    const jobs = `${prefix}:${queue}:`;
    const names = ['active', 'completed', 'stalled', jobId, `${jobId}:lock`, 'events'];
    const keys = names.map((name) => jobs + name);
    const run = mayTeach(redis) ? runScript : runKnownScript;
    return await run(redis, 'done', { keys, args: [jobId, token, KEPT_JOBS, jobs] });
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

  async #with<T>(name: string, use: (worker: Worker<JobData>) => Promise<T>): Promise<T> {
    const { redis, prefix } = this.#deps;
    const fetcher = this.#fetchers.get(name) ?? { worker: createFetcher(redis, { prefix, name }), inUse: 0 };
    this.#fetchers.delete(name);
    this.#fetchers.set(name, fetcher);
    fetcher.inUse += 1;
    this.#evict();
    try {
      return await use(fetcher.worker);
    } finally {
      fetcher.inUse -= 1;
    }
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
