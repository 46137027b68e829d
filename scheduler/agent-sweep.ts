import { EachItem, type Round } from '../core/runtime/each-item.ts';
import type { DutyDeps } from './duties/duty.ts';

const TOGETHER = 200;
const MOST = 1_000;
const MOST_TOLD = 20;

/** The part of the sweep that is about virtual agents: it never deletes one that somebody has a thread with. */
export interface AgentSweep {
  /** Marks those whose publishers are gone, and deletes those that were marked long ago. */
  run(signal: AbortSignal): Promise<Round[]>;
  /** Says once which llms of publishers long gone stay, and for which agents. */
  tellHeld(): Promise<void>;
}

export function createAgentSweep({ config, registry, queue, flow, clock, log }: DutyDeps): AgentSweep {
  const { published } = registry.agents;
  let toldText = '';
  const each = { name: 'sweep-agents', together: TOGETHER, lanes: 1, clock, log };
  const marking = new EachItem<{ id: string; sessionId: string | null }>({
    ...each,
    idOf: ({ id }) => id,
    act: async (silent) => {
      const asked = [...new Set(silent.flatMap(({ sessionId }) => sessionId ?? []))];
      // A session may live though Postgres has not heard of it; while Redis is fresh nothing is believed of it.
      const { fresh, live } = await queue.presence.sessions(asked);
      const gone = silent.filter(({ sessionId }) => sessionId === null || (!fresh && !live.has(sessionId)));
      return await published.markGone(gone.map(({ id }) => id));
    },
  });
  const deleting = new EachItem<string>({
    ...each,
    idOf: (id) => id,
    act: async (ids) => {
      const names = await published.deleteGone(config.goneMs, ids);
      if (names.length > 0) {
        log.info({ agents: names }, 'agents of publishers long gone, with no threads, are deleted');
        flow.bus.emit('scheduler.removed', { kind: 'agent', count: names.length });
      }
      return names.length;
    },
  });
  return {
    async run(signal) {
      const silent = await published.silent(config.leaseMs, MOST + marking.resting);
      const marked = await marking.run(silent, signal);
      const gone = await published.longGone(config.goneMs, MOST + deleting.resting);
      return [marked, await deleting.run(gone, signal)];
    },
    async tellHeld() {
      const pinned = await published.pinned(config.goneMs, MOST_TOLD);
      const now = JSON.stringify(pinned);
      if (now === toldText) return;
      toldText = now;
      if (pinned.length > 0)
        log.info({ pinned }, 'llms of publishers long gone stay: agents are pinned to them');
    },
  };
}
