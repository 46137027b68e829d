import { randomUUID } from 'node:crypto';
import {
  beat,
  claimTask,
  deliverClaim,
  handBack,
  isRefusal,
  type Claimant,
  type Claimed,
  type ClaimRef,
  type Refusal,
} from '../../core/queue/task/claim.ts';
import type { Redis } from '../../core/queue/link/connect.ts';
import type { TakenJob } from '../../core/queue/jobs/consumer.ts';
import { Emitter } from '../../core/queue/task/emitter.ts';
import type { Keys } from '../../core/queue/keys.ts';
import { refuse } from '../../core/queue/jobs/refuse.ts';
import type { ClaimPort } from '../work/claim-port.ts';
import { finishJob } from '../../core/task/let-go.ts';
import { execute, type ExecuteDeps, type Member } from '../work/execute.ts';
import type { Gate } from '../work/gate.ts';
import type { RunningClaims, StopReason } from '../work/running.ts';
import type { FetchBody } from '../work/resting-body.ts';

export interface RedisClaimDeps extends ExecuteDeps {
  redis: Redis;
  keys: Keys;
  session: string;
  owner?: string | undefined;
  boot: string;
  eventBytes: number;
  eventKeepMs: number;
  running: RunningClaims;
  fetchBody: FetchBody;
  /** The server holds the session, and this worker has not heard of it. */
  onHeld: () => void;
}

interface Work {
  member: Member;
  gate: Gate;
  job: TakenJob;
}

export const claimantOf = ({ session, boot, owner }: RedisClaimDeps, { llmId }: Member): Claimant => ({
  claimId: randomUUID(),
  session,
  boot,
  llmId,
  owner,
});

/**
 * Runs one job: claim → run → job done. Never throws. The claim is taken first; without it the job is merely
 * finished, because the task is somebody else's, over, or will come again. A cancel that comes before the run is known
 * here finds it all the same (`RunningClaims.lose`).
 */
export async function runJob(deps: RedisClaimDeps, work: Work): Promise<void> {
  const { member, job } = work;
  const { taskId } = job;
  try {
    const { claimId = randomUUID(), answer = null } = job.early ?? {};
    if (answer === null) return await claimLate(deps, work, claimId);
    if (isRefusal(answer)) return await notFor(deps, { job, ...member, claimId }, answer);
    await deps.running.overtake(taskId);
    await begin(deps, work, { claimId, ask: () => Promise.resolve(answer) });
  } catch (thrown) {
    deps.log.error({ taskId, err: thrown }, 'a run failed for a reason of ours');
  }
}

async function notFor(
  deps: RedisClaimDeps,
  refused: Parameters<typeof refuse>[1],
  why: Refusal,
): Promise<void> {
  if (why === 'held') deps.onHeld();
  await refuse(deps, refused, why);
}

async function claimLate(deps: RedisClaimDeps, work: Work, claimId: string): Promise<void> {
  const { member, job } = work;
  const { taskId, jobId } = job;
  // The task came back while a run of it still goes on here. If that one has lost its claim, its next beat ends
  // it; if it has not, this job is an old one, and finds the task taken or over.
  await deps.running.untilEnded(taskId);
  const by = { ...claimantOf(deps, member), claimId };
  const ask = () => claimTask(deps, { taskId, poolKey: member.poolKey, jobId }, by);
  await begin(deps, work, { claimId: by.claimId, ask });
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
    if (isRefusal(answer)) return await notFor(deps, { job, ...member, claimId }, answer);
    const { epoch, body, head } = answer;
    let finishing: Promise<void> | undefined;
    const finish = (): void => void (finishing = job.complete());
    const port = portOf(deps, { ref: { taskId, poolKey: member.poolKey, claimId, epoch }, aborting, finish });
    const { session } = deps;
    const request =
      typeof body === 'string'
        ? body
        : (signal: AbortSignal) => deps.fetchBody({ taskId, claimId, session, ...body }, signal);
    const claim = { taskId, claimId, body: request, head, port, aborting };
    const letGo = await execute(deps, { member, gate, claim });
    await (finishing ?? finishJob(job, letGo));
  } finally {
    ended();
  }
}

/**
 * @param of.finish finishes the job. Where the task ends well, or is cancelled, it is finished whatever becomes of the end (somebody
 * else may have decided meanwhile), so it goes out with that; what is left of a task whose end was not heard needs no job.
 */
function portOf(
  deps: RedisClaimDeps,
  { ref, aborting, finish }: { ref: ClaimRef; aborting: AbortController; finish: () => void },
): ClaimPort {
  const onLost = (): void => aborting.abort('lost' satisfies StopReason);
  const emitter = new Emitter({ ...deps, claim: ref, onLost });
  return {
    get count() {
      return emitter.count;
    },
    beat: (aheadMs) => beat(deps, ref, aheadMs),
    emit: (events) => emitter.emitAll(events),
    deliver: () => deliverClaim(deps, ref),
    end: (outcome) => emitter.end(outcome, outcome.kind === 'failed' ? undefined : finish),
    handBack: (why) => handBack(deps, ref, why),
  };
}
