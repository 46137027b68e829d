import { endDeadClaim } from '../../core/flow/end-dead.ts';
import { closeTask } from '../../core/flow/end/cancel.ts';
import { messageOf } from '../../core/errors.ts';
import type { LateTask } from '../../core/queue/live/running.ts';
import type { Fence } from '../../core/queue/task/fence.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import { Brake } from '../brake.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

/** Without a subscriber on its control channel a worker is dead sooner than by its beats alone. */
const SILENT_MS = 1_200;

/** What was seen so long ago is no ground to act on: this process may have stood still since. */
const STALE_MS = 2_000;
const LANES = 16;

type Why = 'disconnected' | 'silent' | 'replaced';

/**
 * A claim that goes through a relay is spoken for as soon as it has arrived; one that was never heard of may have been sent
 * into a black stream, and is nobody's crash. A worker of its own connection beats only a second later: a task may kill it
 * before.
 */
function mayNotHaveArrived({ fence, heard }: LateTask): boolean {
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
  const each = new EachItem<Condemned>({
    name: 'reap',
    idOf: ({ taskId, fence }) => `${taskId} ${fence.claim}`,
    act: async ([suspect]) => {
      if (!suspect || deps.clock.elapsed() - suspect.seenAt > STALE_MS) return 0;
      const did = await reap(deps, suspect);
      if (did) suspect.reaped.push(suspect);
      return did ? 1 : 0;
    },
    giveUp: async (suspect) => {
      const message = 'The worker was lost while it ran the task.';
      const closing = { mode: 'cancel', status: 'error', code: 'worker_lost', message } as const;
      await closeTask(deps.flow, { id: suspect.taskId, poolName: suspect.poolKey }, closing);
    },
    lanes: LANES,
    ...deps,
  });

  return {
    name: 'reap',
    everyMs: 250,
    async run(signal) {
      const seenAt = deps.clock.elapsed();
      const late = await lateClaims(deps);
      if (late.length === 0) {
        unheard = new Set();
        return 0;
      }
      const subscribers = await countListeners(deps, late);
      const leases = await deps.queue.presence.sessions([...new Set(late.map((s) => s.fence.session))]);
      const verdict = (s: LateTask): Why | null => {
        // Asked first: it is certain, so nothing brakes it.
        const lease = leases.live.get(s.fence.session);
        if (lease && lease.boot !== s.fence.boot) return 'replaced';
        // Its beats come through an edge, and so does what it hears: nothing of it is the worker's own connection.
        const overSse = s.fence.via === 'sse';
        if (s.ageMs >= (overSse ? deps.config.deadBeatSseMs : deps.config.deadBeatMs)) return 'silent';
        const boot = bootOf(s.fence);
        return !overSse && subscribers.get(boot) === 0 && unheard.has(boot) ? 'disconnected' : null;
      };
      const dead = late.flatMap((s) => {
        const why = verdict(s);
        return why ? [{ ...s, why }] : [];
      });
      unheard = new Set([...subscribers].filter(([, n]) => n === 0).map(([boot]) => boot));
      // A newer boot says for certain that the older one is gone; the others may only seem to be.
      const seeming = dead.filter(({ why }) => why !== 'replaced');
      const allowed = await brake.allows(seeming.map((s) => s.fence.session));
      const reaped: Condemned[] = [];
      const condemned = dead.filter(({ why }) => allowed || why === 'replaced');
      const round = await each.run(
        condemned.map((s) => ({ ...s, seenAt, reaped })),
        signal,
      );
      tell(deps, reaped);
      return announced(deps, 'reap', round);
    },
  };
}

/** One that is taken for dead, when that was seen, and where it is listed once its claim has ended. */
interface Condemned extends LateTask {
  why: Why;
  seenAt: number;
  reaped: Condemned[];
}

const bootOf = (fence: Fence): string => `${fence.session} ${fence.boot}`;

function lateClaims({ queue, pools, log }: DutyDeps): Promise<LateTask[]> {
  const unread = (pool: string, error: unknown): void =>
    log.warn({ pool, why: messageOf(error) }, 'what runs in a pool could not be read; the others go on');
  return pools.busy().then((busy) => queue.running.late(busy, { silentMs: SILENT_MS, unread }));
}

async function countListeners({ queue }: DutyDeps, late: readonly LateTask[]): Promise<Map<string, number>> {
  const boots = new Map(late.map(({ fence }) => [bootOf(fence), fence]));
  const counts = await queue.running.listeners([...boots.values()]);
  return new Map([...boots.keys()].map((boot, at) => [boot, counts[at] ?? 0]));
}

async function reap({ queue, flow }: DutyDeps, suspect: LateTask & { why: Why }): Promise<boolean> {
  const { fence, taskId, poolKey, why } = suspect;
  const counts = suspect.lapsed || mayNotHaveArrived(suspect) ? 'none' : 'crash';
  const decided = await endDeadClaim(flow, { taskId, poolKey, fence, why, counts });
  if (decided === 'over') return await queue.running.strike({ taskId, poolKey });
  return decided !== 'moved';
}

/** One event per boot, however many claims it held. */
function tell({ flow }: DutyDeps, reaped: readonly (LateTask & { why: Why })[]): void {
  const dead = reaped.filter(({ lapsed }) => !lapsed);
  const countByWorker = new Map<string, number>();
  for (const { fence } of dead) countByWorker.set(bootOf(fence), (countByWorker.get(bootOf(fence)) ?? 0) + 1);
  for (const { fence, why } of dead) {
    const tasks = countByWorker.get(bootOf(fence));
    if (tasks === undefined) continue;
    countByWorker.delete(bootOf(fence));
    flow.bus.emit('worker.dead', { sessionId: fence.session, boot: fence.boot, why, tasks });
  }
}
