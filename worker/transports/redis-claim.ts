import { randomUUID } from 'node:crypto';
import { beat, claimTask, handBack, type ClaimRef } from '../../core/queue/claim.ts';
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

/**
 * Runs one job: claim → run → job done. Never throws. The claim is taken first; without it the job is merely
 * finished, because the task is somebody else's, over, or will come again. The run is told of before the claim is
 * asked for, so that a cancel right after it finds the run.
 */
export async function runJob(deps: RedisClaimDeps, work: Work): Promise<void> {
  const { taskId } = work.job;
  // The task came back while a run of it still goes on here. If that one has lost its claim, its next beat ends
  // it; if it has not, this job is an old one, and finds the task taken or over.
  await deps.running.untilEnded(taskId);
  const claimId = randomUUID();
  const aborting = new AbortController();
  const ended = deps.running.begin({ taskId, llmName: work.member.name, claimId, aborting });
  try {
    await claimAndRun(deps, { ...work, claimId, aborting });
  } catch (thrown) {
    deps.log.error({ taskId, err: thrown }, 'a run failed for a reason of ours');
  } finally {
    ended();
  }
}

async function claimAndRun(
  deps: RedisClaimDeps,
  { member, gate, job, claimId, aborting }: Work & { claimId: string; aborting: AbortController },
): Promise<void> {
  const ref = { taskId: job.taskId, poolKey: member.poolKey };
  const by = { claimId, session: deps.session, boot: deps.boot, llmId: member.llmId };
  const claimed = await claimTask(deps, { ...ref, jobId: job.jobId }, by);
  if (claimed === 'unfit') return job.pass();
  if (typeof claimed === 'string') {
    deps.log.debug({ ...ref, why: claimed }, 'a job was not for this member');
    return await job.done();
  }
  if ('met' in claimed) {
    deps.log.debug({ ...ref, met: claimed.met }, 'a task that this member failed is put aside');
    return job.later(Math.min(DELAY_MS * 2 ** (claimed.met - 1), LONGEST_DELAY_MS));
  }
  const { body, head } = claimed;
  const port = portOf(deps, { ref: { ...ref, claimId, epoch: claimed.epoch }, aborting });
  const claim = { taskId: job.taskId, claimId, body, head, port, aborting };
  await finish(job, await execute(deps, { member, gate, claim }));
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
    emit: (data) => emitter.emit(data),
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
