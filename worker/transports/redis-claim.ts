import { randomUUID } from 'node:crypto';
import {
  beat,
  claimFetched,
  claimTask,
  handBack,
  type Claimed,
  type ClaimRef,
  type EarlyClaim,
  type Refusal,
} from '../../core/queue/claim.ts';
import type { Redis } from '../../core/queue/connect.ts';
import type { TakenJob } from '../../core/queue/consumer.ts';
import { Emitter } from '../../core/queue/emitter.ts';
import type { Keys } from '../../core/queue/keys.ts';
import type { ClaimPort } from '../claim-port.ts';
import { execute, type ExecuteDeps, type LetGo, type Member } from '../execute.ts';
import type { Gate } from '../gate.ts';
import type { RunningClaims, StopReason } from '../running.ts';

export interface RedisClaimDeps extends ExecuteDeps {
  redis: Redis;
  keys: Keys;
  session: string;
  boot: string;
  eventBytes: number;
  eventKeepMs: number;
  running: RunningClaims;
}

/** How long a task is put aside by a member that has failed it; doubled each time, while no other has taken it. */
const DELAY_MS = 100;
const LONGEST_DELAY_MS = 2_000;

interface Work {
  member: Member;
  gate: Gate;
  job: TakenJob;
}

/** For the job of a fetch that is sent with this. */
export function claimEarly(
  deps: RedisClaimDeps,
  { llmId, poolKey }: Member,
  fetched: { queue: string; token: string },
): Promise<EarlyClaim | null> {
  const by = { claimId: randomUUID(), session: deps.session, boot: deps.boot, llmId };
  return claimFetched(deps, { poolKey, ...fetched }, by);
}

/**
 * Runs one job: claim → run → job done. Never throws. The claim is taken first; without it the job is merely
 * finished, because the task is somebody else's, over, or will come again. A cancel that comes before the run is known
 * here finds it all the same (`RunningClaims.lose`).
 */
export async function runJob(deps: RedisClaimDeps, work: Work): Promise<void> {
  const { taskId } = work.job;
  try {
    const early = await work.job.claim;
    if (!early) return await claimLate(deps, work);
    const { claimId, answer } = early;
    if (isRefusal(answer)) return await refuse(deps, work, answer);
    await deps.running.overtake(taskId);
    await begin(deps, work, { claimId, ask: () => Promise.resolve(answer) });
  } catch (thrown) {
    deps.log.error({ taskId, err: thrown }, 'a run failed for a reason of ours');
  }
}

async function claimLate(deps: RedisClaimDeps, work: Work): Promise<void> {
  const { member, job } = work;
  const { taskId, jobId } = job;
  // The task came back while a run of it still goes on here. If that one has lost its claim, its next beat ends
  // it; if it has not, this job is an old one, and finds the task taken or over.
  await deps.running.untilEnded(taskId);
  const claimId = randomUUID();
  const by = { claimId, session: deps.session, boot: deps.boot, llmId: member.llmId };
  const ask = () => claimTask(deps, { taskId, poolKey: member.poolKey, jobId }, by);
  await begin(deps, work, { claimId, ask });
}

async function begin(
  deps: RedisClaimDeps,
  work: Work,
  { claimId, ask }: { claimId: string; ask: () => Promise<Claimed | Refusal> },
): Promise<void> {
  const { member, gate, job } = work;
  const { taskId } = job;
  const aborting = new AbortController();
  const ended = deps.running.begin({ taskId, llmName: member.name, claimId, aborting });
  try {
    const answer = await ask();
    if (isRefusal(answer)) return await refuse(deps, work, answer);
    const { epoch, body, head } = answer;
    const port = portOf(deps, { ref: { taskId, poolKey: member.poolKey, claimId, epoch }, aborting });
    const claim = { taskId, claimId, body, head, port, aborting };
    await finish(job, await execute(deps, { member, gate, claim }));
  } finally {
    ended();
  }
}

const isRefusal = (answer: Claimed | Refusal): answer is Refusal =>
  typeof answer === 'string' || 'met' in answer;

async function refuse({ log }: RedisClaimDeps, { job }: Work, why: Refusal): Promise<void> {
  const { taskId } = job;
  if (why === 'unfit') return job.pass();
  if (typeof why === 'string') {
    log.debug({ taskId, why }, 'a job was not for this member');
    return await job.done();
  }
  log.debug({ taskId, met: why.met }, 'a task that this member failed is put aside');
  job.later(Math.min(DELAY_MS * 2 ** (why.met - 1), LONGEST_DELAY_MS));
}

function portOf(
  deps: RedisClaimDeps,
  { ref, aborting }: { ref: ClaimRef; aborting: AbortController },
): ClaimPort {
  const onLost = (): void => aborting.abort('lost' satisfies StopReason);
  const emitter = new Emitter({ ...deps, claim: ref, onLost });
  return {
    get count() {
      return emitter.count;
    },
    beat: () => beat(deps, ref),
    emit: (events) => emitter.emitAll(events),
    end: (outcome) => emitter.end(outcome),
    handBack: (why) => handBack(deps, ref, why),
  };
}

async function finish(job: TakenJob, letGo: LetGo): Promise<void> {
  switch (letGo.kind) {
    case 'handed back':
      return; // the job stays for the requeue to move
    case 'failed':
      return await job.failed(letGo.code ?? 'internal');
    case 'completed':
    case 'cancelled':
    case 'lost':
      return await job.done();
  }
}
