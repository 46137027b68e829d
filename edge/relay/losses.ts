import { loseSessions } from '../../core/flow/session.ts';
import type { LlmRow } from '../../core/llm.ts';
import type { Presence } from '../../core/member/presence.ts';
import { inBatches } from '../../core/registry/tasks/batches.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Bus } from '../../core/runtime/bus.ts';

/** Writes into the rows that streams were lost, so that they read inactive at once at every edge. */
export interface Losses {
  /**
   * A session that somebody has taken up by then, here or at another edge, is left as it is. @throws McpctlError
   * `unavailable`
   */
  write(session: string): Promise<void>;
  /**
   * What a session serves (`servedBySession`) whose lease is held by who asks. Rows that were written down as lost a moment ago, for
   * an older stream, are what they were again: read in between, they would not be served until the next registration.
   */
  rowsOf(session: string): Promise<LlmRow[]>;
}

/** What breaks a thousand streams breaks them together. */
const TOGETHER = 200;

export function createLosses({
  registry,
  presence,
  bus,
}: {
  registry: Pick<Registry, 'sessions' | 'llms'>;
  presence: Pick<Presence, 'sessions'>;
  bus: Bus;
}): Losses {
  const mark = (lost: readonly string[]): Promise<boolean[]> => loseSessions({ registry, presence }, lost);
  const write = inBatches(mark, { weightOf: () => 1, most: TOGETHER, lanes: 1 });
  return {
    async rowsOf(session) {
      const rows = await registry.llms.servedBySession(session);
      if (!rows.some(({ inactiveReason }) => inactiveReason === 'publisher_gone')) return rows;
      await registry.sessions.revive(session);
      return await registry.llms.servedBySession(session);
    },
    async write(session) {
      if (await write(session)) bus.emit('session.left', { sessionId: session, why: 'lost' });
    },
  };
}
