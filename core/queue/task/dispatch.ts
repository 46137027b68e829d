import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { Assembly, type Assembled } from '../../agent/assemble.ts';
import { McpctlError } from '../../errors.ts';
import { LARGE_BODY_BYTES } from '../../text/large-body.ts';
import type { Outcome } from '../../task/outcome.ts';
import type { Priority } from '../../task/task.ts';
import { endClaim } from './claim.ts';
import { closeAnswerOf, closing, failing, type CloseAnswer, type CloseMode } from './closing.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { sending } from '../line/wide.ts';
import { orUnavailable } from '../link/connect.ts';
import { sendControl } from '../live/control.ts';
import { mending } from '../mend.ts';
import { createStruck, strike, type Struck } from '../pool-indexes.ts';
import { tagOf } from './attempt.ts';
import { readFences, type Fence, type TaskRef } from './fence.ts';
import type { JobData } from '../jobs/jobs.ts';
import type { Keys } from '../keys.ts';
import type { StandingJob } from '../jobs/leftovers.ts';
import { runKnownScript, runScript, tryScripts, type ScriptName } from '../scripts.ts';
import { FENCE_MARGIN_MS, jobIdOf, laying, layMany, type Laid, type Submission } from './submission.ts';
import { beginning, firstSeq, readOn, readPage, seqAfter, type Position } from './stream.ts';
import { JOB_NAME, Turns } from '../jobs/turns.ts';

export interface DispatchDeps {
  redis: Redis;
  keys: Keys;
  queues: (name: string) => Queue<JobData>;
  eventKeepMs: number;
}

/** What enqueue.lua answers when others of the priority wait, and when it has added the job. */
const CONTESTED = 2;
const ADDED = 3;
const LINGER_MS = 2_000;
/**
 * The job, and no other that it names as its child: a session's Redis user may write into its own pools' jobs, and what it
 * writes there is followed with all our rights, to whatever key.
 */
const itself = { removeChildren: false } as const;

/** Puts tasks into their pool's queue and takes them out again. Used by the edge and the scheduler. */
export class Dispatch {
  readonly #deps: DispatchDeps;
  readonly #turns: Turns;
  /** As `forgetEnded`, within a moment, with others. Best effort: the scheduler strikes what is left, and looks at none before it is two seconds old. */
  readonly struck: Struck;

  constructor(deps: DispatchDeps) {
    this.#deps = deps;
    this.#turns = new Turns(deps);
    this.struck = createStruck(deps.redis, deps.keys);
  }

  /**
   * Lays down body and fence, then adds the job. Sent twice it changes nothing.
   * @param seen the fence that this was decided by, null = there was none: nothing is done when it is another by now.
   * @returns false when nothing was laid down: a newer epoch is there, the task has ended or was closed, or somebody was quicker.
   */
  async enqueue(s: Submission, seen?: Pick<Fence, 'epoch' | 'claim'> | null): Promise<boolean> {
    const call = laying(this.#deps.keys, this.#turns.keyOf(s), { task: s, seen, withJob: true });
    return await this.#addWhereLaid(s, Number(await this.#run('enqueue', call)));
  }

  /** @returns as `enqueue`. */
  async #addWhereLaid(s: Submission, answer: number): Promise<boolean> {
    if (answer < 0) return false;
    if (answer === ADDED) return true;
    const isContested = answer === CONTESTED;
    await this.#add(s, jobIdOf(s), isContested);
    if (isContested) await orUnavailable(this.#turns.take(s, jobIdOf(s)));
    return true;
  }

  /**
   * The same in one round trip, for a task that this call has made: nothing of it can be there that would forbid the job.
   * What enqueue.lua does not add itself goes behind it over the same connection, with its turn: whoever takes the job finds
   * the fence.
   */
  async enqueueNew(s: Submission): Promise<void> {
    // Over another connection than its job, there is no order between them.
    if (isLarge(s.body.length)) return void (await this.enqueue(s));
    const isContested = this.#turns.isContested(s);
    const withJob = !isContested && s.priority === 'interactive';
    const call = laying(this.#deps.keys, this.#turns.keyOf(s), { task: s, withJob });
    if (withJob) {
      const answer = Number(await this.#run('enqueue', call));
      this.#turns.note(s, answer === CONTESTED);
      await this.#addWhereLaid(s, answer);
      return;
    }
    const laid = orUnavailable(runKnownScript(this.#deps.redis, 'enqueue', call));
    const adding = this.#add(s, jobIdOf(s), isContested);
    const [answer, hasTurn] = await Promise.all([laid, isContested && this.#takeAfterAdd(s), adding]);
    if (answer !== undefined) {
      const isNow = Number(answer) === CONTESTED;
      this.#turns.note(s, isNow);
      if ((isNow || isContested) && !hasTurn) await orUnavailable(this.#turns.take(s, jobIdOf(s)));
      return;
    }
    // This Redis has forgotten its scripts, and got the job alone: whoever took it found nothing, and finished it.
    await orUnavailable(this.#queueOf(s).remove(jobIdOf(s), itself));
    await this.enqueue(s);
  }

  /** BullMQ gives its command within this turn of the loop; what is written in one turn goes out together. */
  #takeAfterAdd(s: Submission): Promise<boolean> {
    const taking = new Promise<boolean>((resolve) =>
      setImmediate(() => resolve(this.#turns.take(s, jobIdOf(s)))),
    );
    return orUnavailable(taking);
  }

  /** Lays the body of a task into Redis after all, if it rests elsewhere: whoever took its job could not get it from there. */
  async bringBody(ref: TaskRef, load: () => Promise<string | null>): Promise<void> {
    const { redis, keys } = this.#deps;
    const { input } = keys.pool(ref.poolKey).task(ref.taskId);
    const look = () => Promise.all([redis.hexists(input, 'bytes'), redis.hexists(input, 'body')]);
    const [rests, isHere] = await orUnavailable(mending(redis, [input], look));
    if (rests === 0 || isHere === 1) return;
    const body = await load();
    if (body === null) return;
    const bring = (over: Redis) =>
      over.multi().hset(input, 'body', body).pexpire(input, FENCE_MARGIN_MS, 'NX').exec();
    await orUnavailable(sending(redis, body.length, bring));
  }

  /**
   * `enqueue` of many: what Redis has nothing of in one round trip, and the others, or where others wait without their turns, in
   * one more. @param seen as there, of each.
   * @returns of each whether it was laid down, or the error that it alone made.
   */
  async enqueueMany(many: readonly Laid[]): Promise<(boolean | Error)[]> {
    return await layMany({ ...this.#deps, turns: this.#turns }, many);
  }

  /** Is this fence still as it was seen: the same claim of the same epoch? */
  async isStill(ref: TaskRef, { epoch, claim }: Pick<Fence, 'epoch' | 'claim'>): Promise<boolean> {
    const [now] = await readFences(this.#deps.redis, this.#deps.keys, [ref]);
    return now?.epoch === epoch && now.claim === claim;
  }

  /** What was asked stays for as long as the task may wait once more. @returns false when it is gone. */
  async keepInput({ poolKey, taskId }: TaskRef, waitMs: number): Promise<boolean> {
    const { input } = this.#deps.keys.pool(poolKey).task(taskId);
    await orUnavailable(this.#deps.redis.pexpire(input, waitMs + FENCE_MARGIN_MS, 'GT'));
    return (await orUnavailable(this.#deps.redis.exists(input))) === 1;
  }

  /** Lays down once more what was asked. */
  async layInput({
    poolKey,
    taskId,
    body,
    head,
    waitMs,
  }: TaskRef & Pick<Submission, 'body' | 'head' | 'waitMs'>): Promise<void> {
    const { input } = this.#deps.keys.pool(poolKey).task(taskId);
    const bytes = Buffer.byteLength(body);
    const asked = bytes > LARGE_BODY_BYTES ? { bytes } : { body };
    const lay = (over: Redis) =>
      over
        .multi()
        .hset(input, { ...asked, head: JSON.stringify(head) })
        .pexpire(input, waitMs + FENCE_MARGIN_MS)
        .exec();
    await orUnavailable(sending(this.#deps.redis, bytes, lay));
  }

  /** Takes away what was asked, if the task is over; one that ends later takes it away itself. */
  async dropInputOfEnded(ref: TaskRef): Promise<void> {
    const [fence] = await readFences(this.#deps.redis, this.#deps.keys, [ref]);
    if (fence?.state === 'open' || fence?.state === 'released') return;
    await orUnavailable(this.#deps.redis.del(this.#deps.keys.pool(ref.poolKey).task(ref.taskId).input));
  }

  /** Moves a task that nobody has seen anything of back to the head of its queue, under a new epoch. */
  async requeue(
    ref: TaskRef & { priority: Priority; pin?: string | undefined },
    seen: {
      epoch: number;
      claim: string;
      job: string;
      newEpoch: number;
      waitMs?: number;
      excluded?: readonly string[];
    },
  ): Promise<'ok' | 'absent' | 'closed' | 'shown' | 'moved'> {
    const pool = this.#deps.keys.pool(ref.poolKey);
    const task = pool.task(ref.taskId);
    const queue = `${this.#deps.keys.namespace}:${pool.queue(ref.pin)}`;
    const answer = String(
      await this.#run('requeue', {
        keys: [
          task.fence,
          task.stream,
          pool.run,
          pool.back,
          ...[
            'active',
            'wait',
            'prioritized',
            'marker',
            seen.job,
            `${seen.job}:lock`,
            'stalled',
            'completed',
            'failed',
          ].map((k) => `${queue}:${k}`),
        ],
        args: [
          ref.taskId,
          seen.epoch,
          seen.claim,
          seen.newEpoch,
          seen.job,
          (seen.waitMs ?? 0) + FENCE_MARGIN_MS,
          task.channel,
          (seen.excluded ?? []).join(),
        ],
      }),
    );
    if (answer === 'nojob') await this.#add(ref, seen.job, false);
    switch (answer) {
      case 'ok':
      case 'nojob':
        return 'ok';
      case 'absent':
      case 'closed':
      case 'shown':
      case 'moved':
        return answer;
      default:
        throw new McpctlError('internal', 'The requeue script gave an answer that is not known.');
    }
  }

  /** Ends a task from outside: nobody may claim it or speak for it any more. The row is the caller's to write. */
  async close(ref: TaskRef, mode: CloseMode, outcome: Outcome): Promise<CloseAnswer> {
    return closeAnswerOf(await this.#run('close', closing(this.#deps, ref, { mode, outcome })));
  }

  /** `close` of many in one round trip. @returns of each its answer, or the error that it alone made. */
  async closeMany(
    refs: readonly TaskRef[],
    mode: CloseMode,
    outcome: Outcome,
  ): Promise<(CloseAnswer | Error)[]> {
    const calls = refs.map((ref) => closing(this.#deps, ref, { mode, outcome }));
    const answers = await orUnavailable(tryScripts(this.#deps.redis, 'close', calls));
    return answers.map((answer) => (answer instanceof Error ? answer : closeAnswerOf(answer)));
  }

  /**
   * After a close: takes the waiting job away, or tells the worker that runs it. Best effort; beats and the reconciler
   * follow.
   * @param code what the task ended with, where that is an error: the job stays on the board, as failed.
   */
  async withdraw(
    ref: TaskRef,
    closed: Extract<CloseAnswer, { kind: 'closed' }>,
    code?: string,
  ): Promise<void> {
    if (closed.claim !== '') {
      const message = { kind: 'cancel', taskId: ref.taskId, claimId: closed.claim } as const;
      await sendControl(this.#deps, { session: closed.session, boot: closed.boot, message });
      return;
    }
    if (closed.job === '') return; // closed before it was enqueued
    const queue = this.#deps.keys.pool(ref.poolKey).queue(closed.q === '' ? undefined : closed.q.slice(1));
    if (code === undefined) await this.#deps.queues(queue).remove(closed.job, itself);
    else await this.#fail({ queue, jobId: closed.job }, code);
  }

  /**
   * Takes a job away, whoever holds it: its task is over.
   * @param code as for `withdraw`.
   * @returns false when it was gone.
   */
  async remove({ queue, jobId }: Pick<StandingJob, 'queue' | 'jobId'>, code?: string): Promise<boolean> {
    if (code !== undefined) return await this.#fail({ queue, jobId }, code);
    const { redis, keys } = this.#deps;
    await orUnavailable(redis.del(`${keys.namespace}:${queue}:${jobId}:lock`));
    return (await orUnavailable(this.#deps.queues(queue).remove(jobId, itself))) === 1;
  }

  /** `withdraw` of many that nobody had, in one round trip. Best effort, as that. */
  async failJobs(
    jobs: readonly { ref: TaskRef; closed: Extract<CloseAnswer, { kind: 'closed' }>; code: string }[],
  ): Promise<void> {
    const calls = jobs.map(({ ref, closed, code }) => {
      const queue = this.#deps.keys.pool(ref.poolKey).queue(closed.q === '' ? undefined : closed.q.slice(1));
      return failing(this.#deps.keys, { queue, jobId: closed.job }, code);
    });
    await orUnavailable(tryScripts(this.#deps.redis, 'fail', calls));
  }

  async #fail({ queue, jobId }: Pick<StandingJob, 'queue' | 'jobId'>, code: string): Promise<boolean> {
    return (await this.#run('fail', failing(this.#deps.keys, { queue, jobId }, code))) === 1;
  }

  /** Speaks the last word for a dead worker's claim. @returns false when that claim is no longer current. */
  endFor(ref: TaskRef, claimId: string, outcome: Outcome): Promise<boolean> {
    return orUnavailable(endClaim(this.#deps, { ...ref, claimId }, outcome));
  }

  /** The events of an ended task go, but for the moment that somebody beside it may need who reads them just now. */
  async forgetEvents(ref: TaskRef): Promise<void> {
    const { stream } = this.#deps.keys.pool(ref.poolKey).task(ref.taskId);
    await orUnavailable(this.#deps.redis.pexpire(stream, LINGER_MS, 'LT'));
  }

  /** What the events of a claim have told, put together; nothing where the last that spoke was another. */
  async answerOf({ poolKey, taskId }: TaskRef, claim: string): Promise<Assembled> {
    const { redis, keys } = this.#deps;
    const { stream } = keys.pool(poolKey).task(taskId);
    const own = tagOf(claim);
    let assembly = new Assembly(taskId);
    let after: Position = beginning;
    let read = readPage;
    for (let more = true; more; read = readOn) {
      const page = await orUnavailable(read(redis, stream, after));
      for (const entry of page.entries) {
        const isGap = firstSeq(entry) !== seqAfter(after, entry.epoch);
        if (entry.epoch !== after.epoch || isGap) assembly = new Assembly(taskId, { isWhole: !isGap });
        after = entry;
        const isOwn = !entry.tag || entry.tag === own;
        if (entry.kind === 'events' && isOwn) for (const event of entry.data) assembly.add(event);
      }
      more = page.more && page.entries.length > 0;
    }
    return assembly.answer();
  }

  /** Strikes a settled task from the pool's list of endings. */
  async forgetEnded(ref: TaskRef): Promise<void> {
    await strike(this.#deps.redis, this.#deps.keys, { index: 'ended', refs: [ref] });
  }

  /** For somebody who waits: a Redis that is away is `unavailable` within 2 s. */
  #run(
    name: ScriptName,
    call: { keys: readonly string[]; args: readonly (string | number)[] },
  ): Promise<unknown> {
    return orUnavailable(runScript(this.#deps.redis, name, call));
  }

  #queueOf({ poolKey, pin }: Pick<Submission, 'poolKey' | 'pin'>): Queue<JobData> {
    return this.#deps.queues(this.#deps.keys.pool(poolKey).queue(pin));
  }

  async #add(
    s: Pick<Submission, 'taskId' | 'poolKey' | 'priority' | 'pin'>,
    jobId: string,
    isContested: boolean,
  ): Promise<void> {
    const options = { jobId, ...this.#turns.optionsOf(s, isContested) };
    const { redis, keys } = this.#deps;
    const job = `${keys.namespace}:${keys.pool(s.poolKey).queue(s.pin)}:${jobId}`;
    const add = () => this.#queueOf(s).add(JOB_NAME, { T: s.taskId }, options);
    await orUnavailable(mending(redis, [job], add));
  }
}
