import { randomUUID } from 'node:crypto';
import type { HeldJob } from '../../task/let-go.ts';
import { messageOf } from '../../errors.ts';
import { pause, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/process/service.ts';
import type { Openable } from '../../member/switch.ts';
import type { Claimant, EarlyClaim } from '../task/claim.ts';
import type { Fetched, FetchedJob, Fetchers } from './fetchers.ts';
import type { Keys } from '../keys.ts';
import type { Early } from './take.ts';
import type { Markers } from './markers.ts';

/** A job that was taken; at most one of the ends is called (none: it is left to a requeue). */
export interface TakenJob extends HeldJob {
  taskId: string;
  jobId: string;
  /** It was asked for with the job; null where it was not, or came too early. */
  early: EarlyClaim | null;
  /** This member may not have it: it goes back to the head of its queue after so long. Holds no slot meanwhile. */
  later(ms: number): void;
  /** This member cannot do it: it goes to the end of its queue at once. */
  pass(): void;
}

export interface ConsumerDeps {
  /** Shared by all consumers of a process. */
  fetchers: Fetchers;
  markers: Markers;
  keys: Keys;
  member: { llmId: string; poolKey: string };
  slots: {
    /** Resolves with the way to give the slot back; null when `signal` aborted first. */
    take(signal: AbortSignal): Promise<(() => void) | null>;
    isFree(): boolean;
  };
  /** Whether this member takes tasks now (it rests after its backend has failed, and while Redis is not trusted). */
  gate: Openable;
  /** Who claims the task of a job as that is taken; without it `run` asks for it. */
  claimant?: () => Claimant;
  /** Runs the job to its end; must not throw. */
  run: (job: TakenJob) => Promise<void>;
  clock: Clock;
  log: Log;
}

/** A member that has put a job back lets the others look first. */
const ABSTAIN_MS = 50;
/** By then the task of a claim that nobody runs is somebody else's, and take.lua still knows what it was. */
const ASKED_AGAIN_MS = 60_000;
/** The longest pause of a member that found nothing in its whole queue that it can do. */
const LONGEST_LAP_PAUSE_MS = 200;

/**
 * Takes jobs for one member: first from its own queue (pins), then from its pool's, and only with a free slot
 * of its backend in hand. So the least busy member gets the next task, with no scraping, and pausing really
 * pauses.
 */
export class Consumer implements Service {
  readonly name: string;
  readonly #deps: ConsumerDeps;
  /** The member's own queue first. */
  readonly #queues: readonly string[];
  /** A job may be there, as far as we know: a look costs a round trip, so each is for a reason. */
  #mayFind = true;
  readonly #stopping = new AbortController();
  /** Runs, and jobs to be put back. */
  readonly #running = new Set<Promise<void>>();
  #abstainUntil = 0;
  /** What was asked for and not answered: asked again as the same it finds what it took, and no claim is left to the reaper. */
  #unanswered: { token: string; early: Early | undefined; askedAt: number } | undefined;
  /** Jobs that were passed on since it last began to go round its queues, and when that was. */
  #lap = { passed: new Set<string>(), from: 0 };
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: ConsumerDeps) {
    this.#deps = deps;
    this.name = `consumer of ${deps.member.poolKey}`;
    const pool = deps.keys.pool(deps.member.poolKey);
    this.#queues = [pool.queue(deps.member.llmId), pool.queue()];
  }

  async start(): Promise<void> {
    await this.#deps.markers.start?.();
    this.#loop = this.#turnUntilStopped();
  }

  /** Takes nothing more; resolves when what was taken has ended. */
  async drain(): Promise<void> {
    this.#stopping.abort();
    this.#deps.markers.stop?.();
    await this.#loop;
    // A run may end in a job that is to be put back.
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#deps.markers.stop?.();
    await this.#loop;
  }

  async #turnUntilStopped(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#turn();
      } catch (thrown) {
        if (this.#stopping.signal.aborted) return;
        this.#mayFind = true;
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
    if (!this.#mayTake()) this.#mayFind = true;
    await this.#deps.gate.untilOpen(signal);
    const abstainMs = this.#abstainUntil - this.#deps.clock.elapsed();
    if (abstainMs > 0) await pause(abstainMs, signal);
    if (!this.#mayFind) return await this.#waitForMarker();
    const release = await this.#deps.slots.take(signal);
    if (!release) return;
    let job: TakenJob | null = null;
    try {
      if (!signal.aborted && this.#deps.gate.isOpen()) job = await this.#fetch();
    } finally {
      if (!job) release();
    }
    if (job) this.#track(this.#deps.run(job).finally(release));
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
    const queue = await this.#deps.markers.wait(this.#queues, this.#stopping.signal);
    this.#mayFind = true;
    if (queue === null) return;
    if (!this.#deps.slots.isFree() || !this.#mayTake()) await this.#deps.markers.passOn(queue);
  }

  /** One that is taken says whether more waits; where nothing does, a marker will tell. */
  async #fetch(): Promise<TakenJob | null> {
    const { fetchers, claimant, keys, member, clock } = this.#deps;
    const before = this.#unanswered;
    const now = clock.elapsed();
    const asked =
      before && now - before.askedAt < ASKED_AGAIN_MS
        ? before
        : {
            token: randomUUID(),
            early: claimant && { keys, poolKey: member.poolKey, by: claimant() },
            askedAt: now,
          };
    this.#unanswered = asked;
    const job = await fetchers.next(this.#queues, asked.early, asked.token);
    this.#unanswered = undefined;
    this.#mayFind = job?.more ?? false;
    return job && this.#asTaken(job);
  }

  #asTaken(job: Fetched): TakenJob {
    const { taskId, jobId } = job;
    return {
      taskId,
      jobId,
      early: job.early,
      complete: () => job.complete(),
      later: (ms) => this.#track(this.#putBack(job, ms)),
      fail: (code) => job.fail(code),
      pass: () => this.#track(this.#pass(job)),
    };
  }

  /** One that comes again was all round the queue: there is nothing for this member, so it pauses a while. */
  async #pass(job: FetchedJob): Promise<void> {
    const now = this.#deps.clock.elapsed();
    const { passed, from } = this.#lap;
    if (passed.has(job.jobId)) {
      this.#abstainUntil = now + Math.min(LONGEST_LAP_PAUSE_MS, ABSTAIN_MS + 2 * (now - from));
      passed.clear();
    }
    if (passed.size === 0) this.#lap.from = now;
    passed.add(job.jobId);
    await job.putLast();
  }

  /** Held in this process rather than delayed in Redis, where the clocks of workers would decide. */
  async #putBack(job: FetchedJob, afterMs: number): Promise<void> {
    await pause(afterMs, this.#stopping.signal);
    this.#abstainUntil = this.#deps.clock.elapsed() + ABSTAIN_MS;
    await job.putBack();
  }
}
