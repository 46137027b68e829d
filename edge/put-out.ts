import { messageOf } from '../core/errors.ts';
import { putOut, type PutOutDeps } from '../core/flow/put-out.ts';
import type { Denials, Denied } from '../core/registry/people/denials.ts';
import type { Log } from '../core/runtime/log.ts';

/** Puts members out at once, for routes that have just taken somebody's right away. */
export interface PutOut {
  /** All whose right is gone, whichever write took it. */
  unentitled(): Promise<void>;
  /** All of a session that was revoked just now. */
  session(of: Pick<Denied, 'sessionId' | 'boot'>): Promise<void>;
  /** What somebody who may says is to go. */
  rows(which: Parameters<Denials['denyRows']>[0]): Promise<void>;
}

/** What Redis or a worker was not told is left to the scheduler's duty `deny`: the rows say it already. */
export function createPutOut(deps: PutOutDeps & { denials: Denials; log: Log }): PutOut {
  const finish = async (denied: readonly Denied[]): Promise<void> => {
    for (const one of denied) {
      try {
        await putOut(deps, one);
      } catch (thrown) {
        const about = { session: one.sessionId, why: messageOf(thrown) };
        deps.flow.bus.emit('loop.left', { loop: 'put-out', left: 0, failed: 1, ended: 0 });
        deps.log.warn(about, 'a member that was put out is left to the scheduler');
      }
    }
  };
  return {
    unentitled: async () => await finish(await deps.denials.denyUnentitled()),
    // One without llms has its stream and its lease to lose all the same.
    session: async ({ sessionId, boot }) => {
      const [denied] = await deps.denials.deniedOf(sessionId);
      await finish([denied ?? { sessionId, boot, members: [], isOver: true }]);
    },
    rows: async (which) => await finish(await deps.denials.denyRows(which)),
  };
}
