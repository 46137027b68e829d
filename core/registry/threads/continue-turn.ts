import type { Knex } from 'knex';
import type { TaskRow } from '../../task/task.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { preparedIn } from '../database/prepared.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import { compositionColumns, insertPlaceholder, type TurnMade, type TurnPlace } from './accept-turn.ts';
import { lockThread, moveOn, needLast, needRoom, openTurns } from './locked-thread.ts';
import type { TurnRow } from './rows.ts';

/** A turn that ended before its answer was whole, and the task that goes on with it. */
interface Continuing {
  turn: Pick<TurnRow, 'id' | 'threadId' | 'n' | 'taskId'>;
  ownerId: string;
  /** The revision that its request was composed from; null: a turn was being answered then. */
  seen: number | null;
  task: NewTask;
  made: TurnMade;
}

export type ContinuedTurn =
  | { kind: 'running'; place: TurnPlace; row: TaskRow }
  /** The thread is not what the request was composed from. */
  | { kind: 'moved' }
  | { kind: 'busy'; n: number; taskId: string | null };

/**
 * Opens the last turn once more: what goes on with its answer is a message of its own behind it, and a round of the turn. What later
 * turns were told of before they are told of whatever becomes of it.
 * @throws McpctlError `thread_not_found`, `thread_full`, `invalid_request` where others were said behind it.
 */
async function continueTurn(
  trx: Knex.Transaction,
  { turn: { id, threadId, n, taskId }, ownerId, seen, task, made }: Continuing,
  limits: RegistryLimits,
): Promise<ContinuedTurn> {
  const thread = await lockThread(trx, { threadId, ownerId });
  const [open] = await openTurns(trx, threadId);
  if (open) return { kind: 'busy', n: open.n, taskId: open.taskId };
  needLast(n, thread);
  if (thread.revision !== seen) return { kind: 'moved' };
  await needRoom(trx, { threadId, ownerId, messages: 0, bytes: 0, thread, limits });
  const reopened = await trx('chatTurns')
    .where({ id, taskId })
    .whereNotNull('endedAt')
    .update({
      ...{ status: 'running', rounds: trx.raw('rounds + 1'), keepsContext: trx.ref('inContext') },
      ...{ taskId: task.id, poolName: task.poolKey, ...compositionColumns(made) },
      ...{ errorCode: null, errorMessage: null, endedAt: null, bodyDropped: false },
    });
  if (reopened === 0) return { kind: 'moved' };
  const place = { id, threadId, n, answerIndex: thread.nextMessage };
  await insertPlaceholder(trx, { ...place, taskId: task.id, made: made.made });
  await moveOn(trx, threadId, { messages: 1, cut: made.composition });
  const [row] = await insertTasks(preparedIn(trx), [task]);
  return row ? { kind: 'running', place, row } : { kind: 'moved' };
}

export interface TurnContinuations {
  /** As `continueTurn`. */
  goOn(what: Continuing): Promise<ContinuedTurn>;
}

export const createContinuations = (
  { transaction }: Connection,
  limits: RegistryLimits,
): TurnContinuations => ({
  goOn: (what) => transaction((trx) => continueTurn(trx, what, limits), what.task.requestBody.length),
});
