import { randomUUID } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { HandBack } from '../core/hand-back.ts';
import type { Outcome } from '../core/outcome.ts';
import { beat, claimTask, handBack, type Claimed, type ClaimRef } from '../core/queue/claim.ts';
import type { TakenJob } from '../core/queue/consumer.ts';
import type { Redis } from '../core/queue/connect.ts';
import { Emitter } from '../core/queue/emitter.ts';
import type { Keys } from '../core/queue/keys.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { ForwardCall, ProviderFailure, Reply } from './providers/provider.ts';
import type { Rest } from './rest.ts';

/** One llm that this worker serves, as its registration answered. */
export interface Member {
  llmId: string;
  name: string;
  poolKey: string;
  /** The backend's own name of the model. */
  model: string;
  stallMs: number;
  forward: (call: ForwardCall) => AsyncIterable<Reply>;
  isAvailable: (signal: AbortSignal) => Promise<boolean>;
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
/** How long a task is put aside by a member that has failed it; doubled each time, while no other has taken it. */
const DELAY_MS = 100;
const LONGEST_DELAY_MS = 2_000;

/** Everything one claim needs, from taking to letting go. */
interface Run {
  deps: ExecuteDeps;
  member: Member;
  job: TakenJob;
  claim: ClaimRef;
  claimed: Claimed;
  rest: Rest;
  emitter: Emitter;
  aborting: AbortController;
}

/** What came of the backend: an outcome, and the failure behind it when another member may do better. */
interface Answer {
  outcome: Outcome;
  failure?: ProviderFailure;
}

/**
 * Runs one job: claim → beat → backend → emit → end. Never throws. The claim is taken first; without it the job is
 * merely finished, because the task is somebody else's, over, or will come again. A backend that fails before
 * anything was shown costs the member a rest, and the task goes back for another member to try.
 * @param started is told of the run before the claim is asked for, so that a cancel right after it finds the run;
 *   answers with the way to forget it.
 */
export async function execute(
  deps: ExecuteDeps,
  {
    started,
    ...taken
  }: { member: Member; job: TakenJob; rest: Rest; started: (running: Running) => () => void },
): Promise<void> {
  const claimId = randomUUID();
  const aborting = new AbortController();
  let resolve: () => void = () => undefined;
  const ended = new Promise<void>((r) => (resolve = r));
  const stop = (reason: StopReason): void => aborting.abort(reason);
  const { taskId } = taken.job;
  const forget = started({ taskId, llmId: taken.member.llmId, claimId, stop, ended });
  try {
    await claimAndRun({ deps, ...taken, claimId, aborting });
  } catch (thrown) {
    deps.log.error({ taskId, err: thrown }, 'a run failed for a reason of ours');
  } finally {
    forget();
    resolve();
  }
}

async function claimAndRun(
  run: Pick<Run, 'deps' | 'member' | 'job' | 'rest' | 'aborting'> & { claimId: string },
): Promise<void> {
  const { deps, member, job, aborting, claimId, rest } = run;
  const ref = { taskId: job.taskId, poolKey: member.poolKey };
  const by = { claimId, session: deps.session, boot: deps.boot, llmId: member.llmId };
  const claimed = await claimTask(deps, { ...ref, jobId: job.jobId }, by);
  if (typeof claimed === 'string') {
    deps.log.debug({ ...ref, why: claimed }, 'a job was not for this member');
    return await job.done();
  }
  if ('met' in claimed) {
    deps.log.debug({ ...ref, met: claimed.met }, 'a task that this member failed is put aside');
    return job.later(Math.min(DELAY_MS * 2 ** (claimed.met - 1), LONGEST_DELAY_MS));
  }
  const claim = { ...ref, claimId, epoch: claimed.epoch };
  const emitter = new Emitter({ ...deps, claim, onLost: () => aborting.abort('lost' satisfies StopReason) });
  await supervised({ deps, member, job, rest, claim, claimed, emitter, aborting });
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
    const answer = aborting.signal.aborted ? null : await askBackend(run);
    const said = await letGo(run, answer);
    const outcome = answer?.outcome;
    const code = outcome && outcome.kind !== 'completed' ? outcome.code : null;
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

/** The backend's answer; null when the run was broken off before it had one. */
async function askBackend({ member, claimed, emitter, aborting }: Run): Promise<Answer | null> {
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
    else return { outcome: outcomeOf(reply), ...(reply.kind === 'failed' ? { failure: reply } : {}) };
  }
  if (signal.aborted) return null;
  const message = 'The provider stopped without an end.';
  const failure = { code: 'backend_incomplete', message, retryable: true } as const;
  return { outcome: { kind: 'failed', code: failure.code, message }, failure };
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
async function letGo(run: Run, answer: Answer | null): Promise<string> {
  const { deps, claim, job, emitter, aborting } = run;
  const reason = aborting.signal.reason as StopReason | undefined;
  const why = whyBack(run, answer, reason);
  // Nothing of it was seen: it starts over elsewhere, and its job stays for the requeue to move.
  if (why !== null && (await handBack(deps, claim, why)) === 'ok') return 'handed back';
  const last = answer?.outcome ?? brokenOff(reason);
  if (last === null || !(await emitter.end(last))) {
    await job.done();
    return 'lost';
  }
  await (last.kind === 'failed' ? job.failed(last.code) : job.done());
  return last.kind;
}

/** A member whose backend failed rests first, so that it is not the one to take the task again. */
function whyBack({ rest }: Run, answer: Answer | null, reason: StopReason | undefined): HandBack | null {
  if (answer === null) {
    if (reason !== 'shutdown') return null;
    return { counts: 'none', code: 'shutting_down', message: 'The worker was shut down.' };
  }
  const { failure } = answer;
  if (!failure) {
    rest.worked();
    return null;
  }
  const { code, message, retryAfterS, retryable } = failure;
  if (retryable || code === 'backend_auth_failed') rest.begin(code, (retryAfterS ?? 0) * 1_000);
  if (!retryable) return null;
  return { counts: 'attempt', code, message, ...(retryAfterS === undefined ? {} : { retryAfterS }) };
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
