import { randomUUID } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { Outcome } from '../core/outcome.ts';
import { beat, claimTask, handBack, type Claimed, type ClaimRef } from '../core/queue/claim.ts';
import type { TakenJob } from '../core/queue/consumer.ts';
import type { Redis } from '../core/queue/connect.ts';
import { Emitter } from '../core/queue/emitter.ts';
import type { Keys } from '../core/queue/keys.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { ForwardCall, Reply } from './providers/provider.ts';

/** One llm that this worker serves, as its registration answered. */
export interface Member {
  llmId: string;
  name: string;
  poolKey: string;
  /** The backend's own name of the model. */
  model: string;
  stallMs: number;
  forward: (call: ForwardCall) => AsyncIterable<Reply>;
}

export interface ExecuteDeps {
  redis: Redis;
  keys: Keys;
  session: string;
  boot: string;
  eventBytes: number;
  eventKeepMs: number;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** Why a run was broken off. `lost`: somebody else decides about the task, so there is nothing more to say. */
export type StopReason = 'lost' | 'shutdown' | 'run_timeout';

/** A claim while it runs. */
export interface Running {
  taskId: string;
  llmId: string;
  claimId: string;
  stop(reason: StopReason): void;
  ended: Promise<void>;
}

const BEAT_MS = 1_000;

/** Everything one claim needs, from taking to letting go. */
interface Run {
  deps: ExecuteDeps;
  member: Member;
  job: TakenJob;
  claim: ClaimRef;
  claimed: Claimed;
  emitter: Emitter;
  aborting: AbortController;
}

/**
 * Runs one job: claim → beat → backend → emit → end. Never throws. The claim is taken first; without it the job is
 * merely finished, because the task is somebody else's, over, or will come again.
 * @param started is told of the run before the claim is asked for, so that a cancel right after it finds the run;
 *   answers with the way to forget it.
 */
export async function execute(
  deps: ExecuteDeps,
  { member, job, started }: { member: Member; job: TakenJob; started: (running: Running) => () => void },
): Promise<void> {
  const claimId = randomUUID();
  const aborting = new AbortController();
  let resolve: () => void = () => undefined;
  const ended = new Promise<void>((r) => (resolve = r));
  const stop = (reason: StopReason): void => aborting.abort(reason);
  const forget = started({ taskId: job.taskId, llmId: member.llmId, claimId, stop, ended });
  try {
    await claimAndRun({ deps, member, job, claimId, aborting });
  } catch (thrown) {
    deps.log.error({ taskId: job.taskId, err: thrown }, 'a run failed for a reason of ours');
  } finally {
    forget();
    resolve();
  }
}

async function claimAndRun(
  run: Pick<Run, 'deps' | 'member' | 'job' | 'aborting'> & { claimId: string },
): Promise<void> {
  const { deps, member, job, aborting, claimId } = run;
  const ref = { taskId: job.taskId, poolKey: member.poolKey };
  const by = { claimId, session: deps.session, boot: deps.boot, llmId: member.llmId };
  const claimed = await claimTask(deps, { ...ref, jobId: job.jobId }, by);
  if (typeof claimed === 'string') {
    deps.log.debug({ ...ref, why: claimed }, 'a job was not for this member');
    return await job.done();
  }
  const claim = { ...ref, claimId, epoch: claimed.epoch };
  const emitter = new Emitter({ ...deps, claim, onLost: () => aborting.abort('lost' satisfies StopReason) });
  await supervised({ deps, member, job, claim, claimed, emitter, aborting });
}

async function supervised(run: Run): Promise<void> {
  const { deps, claim, aborting, claimed } = run;
  const beats = setInterval(() => void keepBeating(run), BEAT_MS);
  const limit = setTimeout(
    () => aborting.abort('run_timeout' satisfies StopReason),
    Math.min(claimed.head.runMs, 2 ** 31 - 1),
  );
  const since = deps.clock.elapsed();
  const { taskId, claimId } = claim;
  const about = { taskId, claimId, llm: run.member.name };
  deps.bus.emit('claim.started', about);
  try {
    const outcome = aborting.signal.aborted ? null : await askBackend(run);
    const said = await letGo(run, outcome);
    const code = outcome !== null && outcome.kind !== 'completed' ? outcome.code : null;
    const ms = Math.round(deps.clock.elapsed() - since);
    deps.bus.emit('claim.finished', { ...about, outcome: said, code, events: run.emitter.count, ms });
  } finally {
    clearInterval(beats);
    clearTimeout(limit);
  }
}

async function keepBeating({ deps, claim, aborting }: Run): Promise<void> {
  try {
    if (!(await beat(deps, claim))) aborting.abort('lost' satisfies StopReason);
  } catch (thrown) {
    deps.log.debug({ taskId: claim.taskId, why: messageOf(thrown) }, 'a beat failed');
  }
}

/** The backend's answer as an outcome; null when the run was broken off before it had one. */
async function askBackend({ member, claimed, emitter, aborting }: Run): Promise<Outcome | null> {
  const { head, body } = claimed;
  const { signal } = aborting;
  const call: ForwardCall = {
    operation: head.operation,
    body,
    streaming: head.streaming,
    headers: head.headers,
    model: member.model,
    stallMs: member.stallMs,
    signal,
  };
  for await (const reply of member.forward(call)) {
    if (signal.aborted) return null;
    if (reply.kind === 'event') await emitter.emit(reply.data);
    else return outcomeOf(reply);
  }
  if (signal.aborted) return null;
  return { kind: 'failed', code: 'backend_incomplete', message: 'The provider stopped without an end.' };
}

function outcomeOf(reply: Exclude<Reply, { kind: 'event' }>): Outcome {
  if (reply.kind === 'end') {
    const { status, body, finishReason, usage } = reply;
    return {
      kind: 'completed',
      status,
      ...(body === undefined ? {} : { body }),
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(usage === undefined ? {} : { usage }),
    };
  }
  const { code, message, status, body, retryAfterS } = reply;
  return {
    kind: 'failed',
    code,
    message,
    ...(status === undefined ? {} : { status }),
    ...(body === undefined ? {} : { body }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}

/** Says the last word, hands the task back, or nothing at all. @returns what became of the claim, for the log. */
async function letGo({ deps, claim, job, emitter, aborting }: Run, outcome: Outcome | null): Promise<string> {
  const reason = aborting.signal.reason as StopReason | undefined;
  if (outcome === null && reason === 'shutdown') {
    // Nothing of it was seen: it starts over elsewhere, and its job stays for the requeue to move.
    const answer = await handBack(deps, claim, 'the worker was shut down');
    if (answer === 'ok') return 'handed back';
  }
  const last = outcome ?? brokenOff(reason);
  if (last === null || !(await emitter.end(last))) {
    await job.done();
    return 'lost';
  }
  await (last.kind === 'failed' ? job.failed(last.code) : job.done());
  return last.kind;
}

function brokenOff(reason: StopReason | undefined): Outcome | null {
  switch (reason) {
    case 'shutdown':
      return {
        kind: 'failed',
        code: 'shutting_down',
        message: 'The worker was shut down while it answered.',
      };
    case 'run_timeout':
      return { kind: 'failed', code: 'run_timeout', message: 'The task ran longer than its time limit.' };
    case 'lost':
    case undefined:
      return null;
  }
}
