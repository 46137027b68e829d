import type { ErrorCode } from '../../core/errors.ts';
import { closeTask } from '../../core/flow/cancel.ts';
import { whyWaited } from '../../core/flow/take-back.ts';
import type { TaskRow } from '../../core/task.ts';
import type { Duty, DutyDeps } from './duty.ts';
import { everything } from '../../core/access.ts';

const MOST = 200;

/**
 * Ends tasks that nobody took in time, and those whose pool has no llm any more. Never one that is claimed:
 * its running time has a limit of its own.
 */
export function createExpireDuty({ registry, flow }: DutyDeps): Duty {
  const expire = async (row: TaskRow, code: ErrorCode, message: string): Promise<number> => {
    const closed = await closeTask(flow, row, { mode: 'expire', status: 'error', code, message });
    return closed === 'claimed' || closed === 'ended' ? 0 : 1;
  };
  const emptyPools = async (): Promise<string[]> => {
    const open = await registry.tasks.openPools();
    const held = new Set((await registry.llms.byPools(open)).map((row) => row.poolKey));
    return open.filter((key) => !held.has(key));
  };
  /** What is known of why it waited is told with it; asked only where it came back from a member at all. */
  const lateSentence = async (row: TaskRow): Promise<string> => {
    const late =
      row.source === 'async'
        ? 'timed out waiting for a worker'
        : 'No member took the task within its time limit.';
    const why = row.epoch > 1 ? await whyWaited(flow, row) : null;
    return why ? `${late} ${why.message}` : late;
  };
  return {
    name: 'expire',
    everyMs: 2_000,
    async run(signal) {
      let did = 0;
      for (const row of await registry.tasks.overdue(MOST)) {
        if (signal.aborted) return did;
        did += await expire(row, 'queue_timeout', await lateSentence(row));
      }
      for (const pool of await emptyPools()) {
        for (const row of await registry.tasks.list({
          scope: everything,
          pool,
          statuses: ['pending'],
          limit: MOST,
        })) {
          did += await expire(row, 'no_active_llm', `No active Llm in pool '${pool}'`);
        }
      }
      return did;
    },
  };
}
