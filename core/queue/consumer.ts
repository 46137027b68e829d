import type { Job, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { messageOf } from '../errors.ts';
import { pause, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import { createFetcher, type JobData } from './jobs.ts';
import type { Keys } from './keys.ts';

/** A job that was taken; at most one of the ends is called (none: it is left to a requeue). */
export interface TakenJob {
  taskId: string;
  jobId: string;
  done(): Promise<void>;
  /** The job shows as failed on the board, with its catalogue code. */
  failed(code: string): Promise<void>;
  /** This member may not have it: it goes back to the head of its queue after so long. Holds no slot meanwhile. */
  later(ms: number): void;
}

export interface ConsumerDeps {
  /** Shared by all of a worker's consumers. */
  commands: Redis;
  /** This consumer's own, for its blocking pop; opened and closed here. */
  blocking: Redis;
  keys: Keys;
  member: { llmId: string; poolKey: string };
  slots: {
    /** Resolves with the way to give the slot back; null when `signal` aborted first. */
    take(signal: AbortSignal): Promise<(() => void) | null>;
    isFree(): boolean;
  };
  /** Whether this member takes tasks now (it rests after its backend has failed). */
  gate: { isOpen(): boolean; untilOpen(signal: AbortSignal): Promise<void> };
  /** Runs the job to its end; must not throw. */
  run: (job: TakenJob) => Promise<void>;
  clock: Clock;
  log: Log;
}

/** So that a pause or a drain is never more than this away. */
const WAIT_S = 1;
/** A member that has put a job back lets the others look first. */
const ABSTAIN_MS = 50;

/**
 * Takes jobs for one member: first from its own queue (pins), then from its pool's, and only with a free slot
 * of its backend in hand. So the least busy member gets the next task, with no scraping, and pausing really
 * pauses. Waiting is one BZPOPMIN over both markers.
 */
export class Consumer implements Service {
  readonly name: string;
  readonly #deps: ConsumerDeps;
  readonly #fetchers: Worker<JobData>[];
  readonly #markers: string[];
  readonly #stopping = new AbortController();
  /** Runs, and jobs to be put back. */
  readonly #running = new Set<Promise<void>>();
  #abstainUntil = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: ConsumerDeps) {
    this.#deps = deps;
    this.name = `consumer of ${deps.member.poolKey}`;
    const pool = deps.keys.pool(deps.member.poolKey);
    const names = [pool.queue(deps.member.llmId), pool.queue()];
    const prefix = deps.keys.namespace;
    this.#fetchers = names.map((name) => createFetcher(deps.commands, { prefix, name }));
    this.#markers = names.map((name) => `${prefix}:${name}:marker`);
  }

  async start(): Promise<void> {
    if (this.#deps.blocking.status === 'wait') await this.#deps.blocking.connect();
    this.#loop = this.#turnUntilStopped();
  }

  /** Takes nothing more; resolves when what was taken has ended. */
  async drain(): Promise<void> {
    this.#stopping.abort();
    this.#deps.blocking.disconnect(); // breaks the wait off; a wake-up lost with it costs another member a second
    await this.#loop;
    // A run may end in a job that is to be put back.
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#deps.blocking.disconnect();
    await this.#loop;
    await Promise.all(this.#fetchers.map((fetcher) => fetcher.close(true)));
  }

  async #turnUntilStopped(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#turn();
      } catch (thrown) {
        if (this.#stopping.signal.aborted) return;
        this.#deps.log.warn(
          { consumer: this.name, why: messageOf(thrown) },
          'taking a task failed; trying again',
        );
        await pause(500, this.#stopping.signal);
      }
    }
  }

  async #turn(): Promise<void> {
    const signal = this.#stopping.signal;
    await this.#deps.gate.untilOpen(signal);
    const abstainMs = this.#abstainUntil - this.#deps.clock.elapsed();
    if (abstainMs > 0) await pause(abstainMs, signal);
    const release = await this.#deps.slots.take(signal);
    if (!release) return;
    let job: TakenJob | null = null;
    try {
      if (!signal.aborted && this.#deps.gate.isOpen()) job = await this.#fetch();
    } finally {
      if (!job) release();
    }
    if (!job) return this.#mayTake() ? await this.#waitForMarker() : undefined;
    this.#track(this.#deps.run(job).finally(release));
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  #mayTake(): boolean {
    const abstains = this.#abstainUntil > this.#deps.clock.elapsed();
    return !this.#stopping.signal.aborted && this.#deps.gate.isOpen() && !abstains;
  }

  /** Without a slot in hand: another llm of the same backend may take it meanwhile. */
  async #waitForMarker(): Promise<void> {
    const popped = await this.#deps.blocking.bzpopmin(...this.#markers, WAIT_S);
    if (!popped) return;
    // We took a wake-up that we cannot follow now: pass it on to a member that can.
    if (!this.#deps.slots.isFree() || !this.#mayTake()) await this.#deps.commands.zadd(popped[0], 0, '0');
  }

  async #fetch(): Promise<TakenJob | null> {
    for (const fetcher of this.#fetchers) {
      const token = `${this.#deps.member.llmId}:${this.#deps.clock.random()}`;
      const job = await fetcher.getNextJob(token, { block: false });
      if (job) return this.#asTaken(job, token);
    }
    return null;
  }

  #asTaken(job: Job<JobData>, token: string): TakenJob {
    const settle = async (ending: Promise<unknown>): Promise<void> => {
      try {
        await ending;
      } catch (thrown) {
        // Requeued meanwhile, or Redis came back empty: the fence has decided, the job is not ours to move.
        this.#deps.log.debug({ jobId: job.id, why: messageOf(thrown) }, 'a job was no longer ours to finish');
      }
    };
    return {
      taskId: job.data.T,
      jobId: job.id ?? '',
      done: () => settle(job.moveToCompleted(null, token, false)),
      later: (ms) => this.#track(this.#putBack(() => settle(job.moveToWait(token)), ms)),
      failed: (code) => settle(job.moveToFailed(Object.assign(new Error(code), { stack: '' }), token, false)),
    };
  }

  /** Held in this process rather than delayed in Redis, where the clocks of workers would decide. */
  async #putBack(putBack: () => Promise<void>, afterMs: number): Promise<void> {
    await pause(afterMs, this.#stopping.signal);
    this.#abstainUntil = this.#deps.clock.elapsed() + ABSTAIN_MS;
    await putBack();
  }
}
