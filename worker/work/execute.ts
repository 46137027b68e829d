import { messageOf } from '../../core/errors.ts';
import type { HandBack } from '../../core/task/hand-back.ts';
import type { LetGo } from '../../core/task/let-go.ts';
import type { Outcome } from '../../core/task/outcome.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { isLarge, msFor } from '../../core/runtime/time-of-bytes.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { TaskHead } from '../../core/task/head.ts';
import type { ClaimPort } from './claim-port.ts';
import type { Gate } from './gate.ts';
import type { MemberCall, ProviderFailure, Reply } from '../providers/provider.ts';
import type { StopReason } from './running.ts';

/** One llm that this worker serves, as its registration answered. */
export interface Member {
  llmId: string;
  name: string;
  poolKey: string;
  /** The backend's own name of the model. */
  model: string;
  stallMs: number;
  forward: (call: MemberCall) => AsyncIterable<Reply>;
  isAvailable: (signal: AbortSignal) => Promise<boolean>;
}

export interface ExecuteDeps {
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** A task that this worker holds, and the way to speak for it. */
export interface HeldClaim {
  taskId: string;
  claimId: string;
  /** Itself, or the way to get it. */
  body: string | ((signal: AbortSignal) => Promise<string>);
  head: TaskHead;
  port: ClaimPort;
  /** Aborts the run, with a `StopReason`; the transport does so when the claim is lost or the worker leaves. */
  aborting: AbortController;
}

const BEAT_MS = 1_000;
/** A death is noticed later by this at most, where what was asked is large. */
const MOST_AHEAD_MS = 5_000;

/** Everything one claim needs while it runs. */
interface Run {
  deps: ExecuteDeps;
  member: Member;
  gate: Gate;
  claim: HeldClaim;
  /** How far each beat says ahead: what is large is looked through several times, and nothing else is done meanwhile. */
  aheadMs: number;
}

/** What came of the backend: an outcome, and the failure behind it when another member may do better. */
interface Answer {
  outcome: Outcome;
  failure?: ProviderFailure;
  /** What the member's owner should know. */
  remark?: string;
}

/**
 * Runs one claim: beat → backend → emit → end. A backend that fails before anything was shown costs the member a
 * rest, and the task goes back for another member to try.
 * @throws what the port throws; then nothing more was said, and the beats' silence speaks for the claim.
 */
export async function execute(
  deps: ExecuteDeps,
  { member, gate, claim }: { member: Member; gate: Gate; claim: HeldClaim },
): Promise<LetGo> {
  const run: Run = { deps, member, gate, claim, aheadMs: 0 };
  const { taskId, claimId, port, aborting } = claim;
  const beats = setInterval(() => void keepBeating(run), BEAT_MS);
  const limit = setTimeout(
    () => aborting.abort('run_timeout' satisfies StopReason),
    Math.min(claim.head.runMs, 2 ** 31 - 1),
  );
  const since = deps.clock.elapsed();
  const about = { taskId, claimId, llm: member.name };
  deps.bus.emit('claim.started', about);
  try {
    const answer = aborting.signal.aborted ? null : await answerTo(run);
    const ended = answer === 'unsaid' ? await giveUp(run) : await letGo(run, answer);
    const outcome = answer === 'unsaid' ? undefined : answer?.outcome;
    const code = outcome && outcome.kind !== 'completed' ? outcome.code : null;
    const ms = Math.round(deps.clock.elapsed() - since);
    deps.bus.emit('claim.finished', { ...about, outcome: ended.kind, code, events: port.count, ms });
    return ended;
  } finally {
    clearInterval(beats);
    clearTimeout(limit);
  }
}

async function keepBeating({ deps, claim: { taskId, port, aborting }, aheadMs }: Run): Promise<void> {
  try {
    if (!(await port.beat(aheadMs))) aborting.abort('lost' satisfies StopReason);
  } catch (thrown) {
    deps.log.debug({ taskId, why: messageOf(thrown) }, 'a beat failed');
  }
}

async function answerTo(run: Run): Promise<Answer | null | 'unsaid'> {
  const body = await bodyOf(run.claim);
  if (typeof body === 'string' && isLarge(body.length)) {
    run.aheadMs = Math.min(msFor(body.length), MOST_AHEAD_MS);
    await keepBeating(run);
  }
  if (run.claim.aborting.signal.aborted) return null;
  return typeof body === 'string' ? await askBackend(run, body) : answerOf({ kind: 'failed', ...body });
}

/** The claim beats meanwhile. What cannot be had is nobody's fault: another member may have it. */
async function bodyOf({ body, aborting }: HeldClaim): Promise<string | ProviderFailure> {
  if (typeof body === 'string') return body;
  try {
    return await body(aborting.signal);
  } catch (thrown) {
    const message = `The worker could not get the request: ${messageOf(thrown)}`;
    return { code: 'unavailable', message, retryable: true, blame: 'unable' };
  }
}

/**
 * The backend's answer; null when the run was broken off before it had one, `unsaid` when what it said could not be
 * passed on. A provider that throws has failed like its backend would: another member may do better.
 */
async function askBackend({ deps, member, claim }: Run, body: string): Promise<Answer | null | 'unsaid'> {
  const { taskId, head, port } = claim;
  const { signal } = claim.aborting;
  const call: MemberCall = {
    operation: head.operation,
    body,
    streaming: head.streaming,
    headers: head.headers,
    model: member.model,
    stallMs: member.stallMs,
    signal,
    taskId,
    deliver: () => port.deliver(),
  };
  let message = 'The provider stopped without an end.';
  /** What a provider throws is its own; what is thrown meanwhile is not. */
  let isSaying = false;
  try {
    for await (const reply of member.forward(call)) {
      if (signal.aborted) return null;
      if (reply.kind !== 'event' && reply.kind !== 'events') return answerOf(reply);
      isSaying = true;
      await port.emit(reply.kind === 'event' ? [reply.data] : reply.data);
      isSaying = false;
    }
  } catch (thrown) {
    deps.log.warn({ taskId, llm: member.name, why: messageOf(thrown) }, 'a run failed for a reason of ours');
    if (isSaying) return 'unsaid';
    message = 'The provider failed for a reason of its own; the log of its worker has it.';
  }
  if (signal.aborted) return null;
  const failure = { code: 'backend_incomplete', message, retryable: true } as const;
  return { outcome: { kind: 'failed', code: failure.code, message }, failure };
}

function answerOf(reply: Exclude<Reply, { kind: 'event' | 'events' }>): Answer {
  const outcome = outcomeOf(reply);
  if (reply.kind === 'failed') return { outcome, failure: reply };
  return { outcome, ...(reply.remark === undefined ? {} : { remark: reply.remark }) };
}

/** What could not be passed on is nobody's death: the task goes back as it came, unless something of it was seen. */
async function giveUp({ claim: { port } }: Run): Promise<LetGo> {
  const message = 'The worker could not pass its answer on.';
  const back = await port.handBack({ counts: 'none', code: 'unavailable', message });
  if (back === 'ok') return { kind: 'handed back' };
  const code = 'unavailable';
  return back === 'shown' && (await port.end({ kind: 'failed', code, message }))
    ? { kind: 'failed', code }
    : { kind: 'lost' };
}

function outcomeOf(reply: Exclude<Reply, { kind: 'event' | 'events' }>): Outcome {
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
  const { code, message, status, body, retryAfterS, reason } = reply;
  return {
    kind: 'failed',
    code,
    message,
    ...(status === undefined ? {} : { status }),
    ...(body === undefined ? {} : { body }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Says the last word, hands the task back, or nothing at all. */
async function letGo(run: Run, answer: Answer | null): Promise<LetGo> {
  const { port, aborting } = run.claim;
  const reason = aborting.signal.reason as StopReason | undefined;
  const why = whyBack(run, answer, reason);
  // Nothing of it was seen: it starts over elsewhere.
  if (why !== null && (await port.handBack(why)) === 'ok') return { kind: 'handed back' };
  const last = answer?.outcome ?? brokenOff(reason);
  if (last === null || !(await port.end(last))) return { kind: 'lost' };
  return last.kind === 'failed' ? { kind: 'failed', code: last.code } : { kind: last.kind };
}

/** A member whose backend failed rests first, so that it is not the one to take the task again. */
function whyBack(
  { deps, member, gate, claim }: Run,
  answer: Answer | null,
  reason: StopReason | undefined,
): HandBack | null {
  if (answer === null) {
    if (reason !== 'shutdown' && reason !== 'kept') return null;
    const message = reason === 'kept' ? 'Its owner keeps it from now on.' : 'The worker was shut down.';
    return { counts: 'none', code: 'shutting_down', message };
  }
  const { failure } = answer;
  if (!failure) {
    gate.worked();
    if (answer.remark !== undefined && gate.isNews(answer.remark))
      deps.log.warn({ llm: member.name, what: answer.remark }, 'a backend answers in an odd way');
    return null;
  }
  const { code, message, retryAfterS, retryable, blame } = failure;
  const beside = {
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(failure.reason === undefined ? {} : { reason: failure.reason }),
  };
  // How much room its model has is its owner's choice.
  if (failure.tooLong && claim.head.shorter?.includes(member.llmId))
    return { counts: 'attempt', code: 'context_length_exceeded', message, ...beside };
  if (blame === 'owner' || code === 'backend_auth_failed') gate.misconfigured(code, message);
  else if (retryable && blame !== 'unable') gate.failed(code, (retryAfterS ?? 0) * 1_000);
  if (!retryable) return null;
  return { counts: 'attempt', code, message, ...beside };
}

function brokenOff(reason: StopReason | undefined): Outcome | null {
  switch (reason) {
    case 'shutdown':
      return {
        kind: 'failed',
        code: 'shutting_down',
        message: 'The worker was shut down while it answered.',
      };
    case 'kept':
      return {
        kind: 'failed',
        code: 'shutting_down',
        message: 'Its owner keeps the llm from now on, and broke it off while it answered.',
      };
    case 'run_timeout':
      return { kind: 'failed', code: 'run_timeout', message: 'The task ran longer than its time limit.' };
    case 'lost':
    case undefined:
      return null;
  }
}
