import { McpctlError } from '../../../core/errors.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { ClaimRef } from '../../../core/queue/task/claim.ts';
import type { Redis } from '../../../core/queue/link/connect.ts';
import { readFences, type Fence } from '../../../core/queue/task/fence.ts';
import type { Keys } from '../../../core/queue/keys.ts';
import type { Registry } from '../../../core/registry/registry.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { Settings } from '../../../core/runtime/settings/settings.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { Heartbeats } from '../heartbeats.ts';
import type { SessionSpeakers, Speaker } from '../../believed/session-speakers.ts';

export interface UplinkDeps {
  registry: Registry;
  /** Waits for a Redis that is away. */
  redis: Redis;
  keys: Keys;
  heartbeats: Heartbeats;
  speakers: SessionSpeakers;
  config: Settings<'bodyLimitBytes' | 'eventBytes' | 'eventKeepMs'>;
  clock: Clock;
  log: Log;
}

/** Who wants to speak for a task, as the call says. */
export interface SpeakingCall {
  taskId: string;
  speaker: Speaker;
  /** Undefined for workers that know no claims: the session that holds the claim speaks for it. */
  claimId: string | undefined;
  /** Undefined: whichever of the caller's sessions holds it. */
  session: string | undefined;
}

/** A claim that the caller may speak for. */
export interface SpokenClaim {
  claim: ClaimRef;
  fence: Fence;
  row: TaskRow;
}

/**
 * The claim that a call is about. A task that is not there, that nobody holds, and that somebody else's worker holds,
 * look the same.
 * @throws McpctlError `task_not_found`; `claim_lost` when the caller's own session holds it by another claim.
 */
export async function claimOf(deps: UplinkDeps, call: SpeakingCall): Promise<SpokenClaim> {
  const { registry, redis, keys, speakers } = deps;
  const { taskId, speaker, claimId, session } = call;
  const row = uuidSchema.safeParse(taskId).success ? await registry.tasks.byId(taskId) : undefined;
  if (!row) throw new McpctlError('task_not_found');
  const ref = { taskId, poolKey: row.poolName };
  const [fence] = await readFences(redis, keys, [ref]);
  if (!fence || fence.session === '' || (session !== undefined && session !== fence.session))
    throw new McpctlError('task_not_found');
  if (!(await speakers.isOf(fence.session, speaker))) throw new McpctlError('task_not_found');
  if (fence.claim === '' || (claimId !== undefined && claimId !== fence.claim))
    throw new McpctlError('claim_lost');
  return { claim: { ...ref, claimId: fence.claim, epoch: fence.epoch }, fence, row };
}

/** Whether it holds its task still, and that has not ended. @throws McpctlError `unavailable` */
export async function isCurrent(
  { redis, keys }: Pick<UplinkDeps, 'redis' | 'keys'>,
  spoken: SpokenClaim,
): Promise<boolean> {
  const [fence] = await readFences(redis, keys, [spoken.claim]);
  return fence?.claim === spoken.fence.claim && fence.state === 'open';
}
