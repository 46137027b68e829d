import { EachItem } from '../../core/runtime/each-item.ts';
import { createAgentSweep } from '../agent-sweep.ts';
import { announced, type Duty, type DutyDeps } from './duty.ts';

const TOGETHER = 200;
const MOST = 1_000;

/**
 * Writes down that publishers are gone: their lease has lapsed (90 s), and deletes their rows when that was long ago (4 h).
 * Virtual agents go likewise, but for those that people have threads with, and llms that agents are pinned to stay.
 * Their names stay their owners' for longer (30 days), then are free.
 * Reads have shown it at once; this only brings the rows up to date. While Redis is fresh nothing is believed of it.
 */
export function createSweepLlmsDuty(deps: DutyDeps): Duty {
  const { config, registry, flow, clock, log } = deps;
  const marking = new EachItem<string>({
    name: 'sweep-llms',
    idOf: (id) => id,
    act: (published) => markLapsed(deps, published),
    together: TOGETHER,
    lanes: 1,
    clock,
    log,
  });
  const deleting = new EachItem<string>({
    name: 'sweep-llms',
    idOf: (id) => id,
    act: async (ids) => {
      const deleted = await registry.sessions.deleteGone(config.goneMs, ids);
      if (deleted.length > 0) {
        log.info({ llms: deleted.map((row) => row.name) }, 'llms of publishers long gone are deleted');
        flow.bus.emit('scheduler.removed', { kind: 'llm', count: deleted.length });
      }
      return deleted.length;
    },
    together: TOGETHER,
    lanes: 1,
    clock,
    log,
  });
  const agents = createAgentSweep(deps);
  return {
    name: 'sweep-llms',
    everyMs: config.sweepMs,
    async run(signal) {
      const marked = await marking.run(await registry.sessions.published(), signal);
      // Before llms: one that no agent keeps any more goes in the same round.
      const swept = await agents.run(signal);
      const gone = await registry.sessions.longGone(config.goneMs, MOST + deleting.resting);
      const deleted = await deleting.run(gone, signal);
      // Nobody waits for it: what cannot be deleted now is no reason to call the rest failed.
      await registry.sessions
        .deleteIdle(config.goneMs, MOST)
        .catch((thrown: unknown) => log.warn({ err: thrown }, 'idle sessions could not be deleted yet'));
      await agents.tellHeld();
      return announced(deps, 'sweep-llms', marked, ...swept, deleted);
    },
  };
}

async function markLapsed(
  { config, registry, queue, flow }: DutyDeps,
  published: readonly string[],
): Promise<number> {
  const { fresh, live } = await queue.presence.sessions(published);
  const missing = published.filter((id) => !live.has(id));
  if (missing.length === 0 || fresh) return 0;
  // A lease that was lost with Redis is no lapse: a heartbeat that Postgres has heard of counts as well.
  const beaten = await registry.sessions.beatenWithin(missing, config.leaseMs);
  const lapsed = missing.filter((id) => !beaten.has(id));
  const rows = await registry.sessions.markGone(lapsed);
  const marked = new Set(rows.map((row) => row.providerSessionId));
  for (const sessionId of lapsed)
    if (marked.has(sessionId)) flow.bus.emit('session.left', { sessionId, why: 'lapsed' });
  return rows.length;
}
