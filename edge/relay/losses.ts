import type { Presence } from '../../core/presence.ts';
import { inBatches } from '../../core/registry/batches.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Bus } from '../../core/runtime/bus.ts';

/** Writes into the rows that streams were lost, so that they read inactive at once at every edge. */
export interface Losses {
  /**
   * A session that somebody has taken up by then, here or at another edge, is left as it is. @throws McpctlError
   * `unavailable`
   */
  write(session: string): Promise<void>;
}

/** What breaks a thousand streams breaks them together. */
const TOGETHER = 200;

export function createLosses({
  registry,
  presence,
  bus,
}: {
  registry: Pick<Registry, 'sessions'>;
  presence: Pick<Presence, 'sessions'>;
  bus: Bus;
}): Losses {
  const mark = async (lost: readonly string[]): Promise<readonly boolean[]> => {
    const rows = await registry.sessions.markGone(lost);
    // Who takes a session up holds its lease before it revives the rows: one of the two sees the other.
    const { live } = await presence.sessions(lost);
    const back = lost.filter((session) => live.has(session));
    await registry.sessions.beat(back);
    const marked = new Set(rows.map((row) => row.providerSessionId));
    return lost.map((session) => marked.has(session) && !live.has(session));
  };
  const write = inBatches(mark, { weightOf: () => 1, most: TOGETHER, lanes: 1 });
  return {
    async write(session) {
      if (await write(session)) bus.emit('session.left', { sessionId: session, why: 'lost' });
    },
  };
}
