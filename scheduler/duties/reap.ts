import { endDeadClaim } from '../../core/flow/end-dead.ts';
import { readFences, type Fence, type TaskRef } from '../../core/queue/fence.ts';
import { timeOf } from '../../core/queue/redis-time.ts';
import { Brake } from '../brake.ts';
import type { Duty, DutyDeps } from './duty.ts';

/** Without a subscriber on its control channel a worker is dead sooner than by its beats alone. */
const SILENT_MS = 1_200;

type Why = 'disconnected' | 'silent' | 'replaced';
interface Suspect extends TaskRef {
  fence: Fence;
  ageMs: number;
  /** Its worker has beaten since it claimed. */
  heard: boolean;
}

/**
 * A claim that goes through a relay is spoken for as soon as it has arrived; one that was never heard of may have been sent
 * into a black stream, and is nobody's crash. A worker of its own connection beats only a second later: a task may kill it
 * before.
 */
function mayNotHaveArrived({ fence, heard }: Suspect): boolean {
  return fence.via === 'sse' && !heard && fence.firstAt === undefined;
}

/**
 * Ends the claims of dead workers: no beat for 5 s (over the sse transport 8 s); no subscriber twice and no beat for
 * 1.2 s (not over sse); or a new boot of the session. What was not shown starts over elsewhere, what was shown ends `worker_lost`. Being slow is not
 * being dead: beats come from the run itself, whatever its backend does.
 */
export function createReapDuty(deps: DutyDeps): Duty {
  const brake = new Brake(deps);
  deps.flow.bus.on('redis.went_back', () => brake.blind('Redis went back'));
  /** Boots that had no subscriber at the last look. */
  let unheard = new Set<string>();

  return {
    name: 'reap',
    everyMs: 250,
    async run(signal) {
      const late = await lateClaims(deps);
      if (late.length === 0) {
        unheard = new Set();
        return 0;
      }
      const subscribers = await countSubscribers(deps, late);
      const leases = await deps.queue.presence.sessions([...new Set(late.map((s) => s.fence.session))]);
      const verdict = (s: Suspect): Why | null => {
        const boot = bootOf(s.fence);
        // Its beats come through an edge, and so does what it hears: nothing of it is the worker's own connection.
        const overSse = s.fence.via === 'sse';
        if (s.ageMs >= (overSse ? deps.config.deadBeatSseMs : deps.config.deadBeatMs)) return 'silent';
        if (!overSse && subscribers.get(boot) === 0 && unheard.has(boot)) return 'disconnected';
        const lease = leases.live.get(s.fence.session);
        return lease && lease.boot !== s.fence.boot ? 'replaced' : null;
      };
      const dead = late.flatMap((s) => {
        const why = verdict(s);
        return why ? [{ ...s, why }] : [];
      });
      unheard = new Set([...subscribers].filter(([, n]) => n === 0).map(([boot]) => boot));
      if (!(await brake.allows(dead.map((s) => s.fence.session)))) return 0;
      const reaped: typeof dead = [];
      for (const suspect of dead) if (!signal.aborted && (await reap(deps, suspect))) reaped.push(suspect);
      tell(deps, reaped);
      return reaped.length;
    },
  };
}

const bootOf = (fence: Fence): string => `${fence.session} ${fence.boot}`;

/** Claims that have missed a beat: nothing less makes a worker suspect. */
async function lateClaims({ registry, queue }: DutyDeps): Promise<Suspect[]> {
  const pools = await registry.tasks.openPools();
  const pipeline = queue.redis.pipeline().time();
  for (const poolKey of pools) pipeline.zrange(queue.keys.pool(poolKey).run, '0', '999', 'WITHSCORES');
  const answers = (await pipeline.exec()) ?? [];
  for (const [error] of answers) if (error) throw error;
  const now = timeOf(answers[0]?.[1]);
  const refs: (TaskRef & { ageMs: number; beatenAt: number })[] = [];
  pools.forEach((poolKey, i) => {
    const flat = answers[i + 1]?.[1] as string[];
    for (let j = 0; j < flat.length; j += 2) {
      const ageMs = now - Number(flat[j + 1]);
      if (ageMs >= SILENT_MS) refs.push({ poolKey, taskId: flat[j] ?? '', ageMs, beatenAt: now - ageMs });
    }
  });
  const fences = await readFences(queue.redis, queue.keys, refs);
  return refs.flatMap((ref, i) => {
    const fence = fences[i];
    if (fence?.state === 'open' && fence.claim !== '')
      return [{ ...ref, fence, heard: ref.beatenAt > (fence.claimedAt ?? 0) }];
    // Nobody can beat it any more: its end, or Redis, took the fence.
    if (!fence || fence.state === 'ended' || fence.state === 'closed')
      void queue.redis.zrem(queue.keys.pool(ref.poolKey).run, ref.taskId).catch(() => undefined);
    return [];
  });
}

async function countSubscribers({ queue }: DutyDeps, late: readonly Suspect[]): Promise<Map<string, number>> {
  const boots = new Map(
    late.map(({ fence }) => [bootOf(fence), queue.keys.control(fence.session, fence.boot)]),
  );
  if (boots.size === 0) return new Map();
  const answer = await queue.redis.pubsub('SHARDNUMSUB', ...[...boots.values()]);
  const counts = new Map<string, number>();
  for (let i = 0; i < answer.length; i += 2) counts.set(String(answer[i]), Number(answer[i + 1]));
  return new Map([...boots].map(([boot, channel]) => [boot, counts.get(channel) ?? 0]));
}

async function reap({ queue, flow }: DutyDeps, suspect: Suspect & { why: Why }): Promise<boolean> {
  const { fence, taskId, poolKey, why } = suspect;
  const counts = mayNotHaveArrived(suspect) ? 'none' : 'crash';
  const decided = await endDeadClaim(flow, { taskId, poolKey, fence, why, counts });
  if (decided === 'over') return (await queue.redis.zrem(queue.keys.pool(poolKey).run, taskId)) > 0;
  return decided !== 'moved';
}

/** One event per boot, however many claims it held. */
function tell({ flow }: DutyDeps, dead: readonly (Suspect & { why: Why })[]): void {
  const told = new Map<string, number>();
  for (const { fence } of dead) told.set(bootOf(fence), (told.get(bootOf(fence)) ?? 0) + 1);
  for (const { fence, why } of dead) {
    const tasks = told.get(bootOf(fence));
    if (tasks === undefined) continue;
    told.delete(bootOf(fence));
    flow.bus.emit('worker.dead', { sessionId: fence.session, boot: fence.boot, why, tasks });
  }
}
