import type { Ending } from '../outcome.ts';
import type { TaskRow } from '../task.ts';
import { forRows, inBatches } from './batches.ts';
import type { Connection } from './connect.ts';
import { isUnstorable } from './faults.ts';
import { settleTasks, type Settling } from './settle-tasks.ts';
import { OPEN, parseTask, rowColumns } from './task-rows.ts';
import type { Knex } from 'knex';

/**
 * The ways a task's row moves. Each is one conditional UPDATE: it changes a row that has not ended, or nothing
 * and gives null; what the row then says is what the task's outcome is.
 */
export interface TaskEnds {
  /** Writes the outcome that the stream's end carries. An answer that Postgres cannot hold ends `unstorable_result`. */
  settle(id: string, ending: Ending): Promise<TaskRow | null>;
  /** `cancelled`, or `error` with a code, from outside: cancel, expire, give up. */
  close(id: string, how: RowClosing): Promise<TaskRow | null>;
  /**
   * Allocates the next epoch, if the row is still at the one seen: the only place where epochs are made. The
   * claim columns go back to NULL; an attempt that failed or crashed is written down.
   */
  nextEpoch(id: string, seen: number, lost?: LostClaim): Promise<TaskRow | null>;
}

/** How a row is ended from outside. */
export interface RowClosing {
  status: 'cancelled' | 'error';
  code: string;
  message: string;
  /** The claim that it ended with, when that came to nothing. */
  lost?: LostClaim | undefined;
  /** The claim that it cuts short. */
  claim?: CutClaim | undefined;
}

/** A claim that came to nothing. `none`: it was handed back or Redis lost it, which counts as neither. */
export interface LostClaim {
  counts: 'crash' | 'attempt' | 'none';
  llmId: string;
  session: string;
  startedAt: Date | null;
  reason: string;
}

/** A claim that a close ends in the middle. */
interface CutClaim {
  claim: string;
  session: string;
  llmId: string;
  claimedAt: Date | null;
}

const claimColumns = (db: Knex, { claim, session, llmId, claimedAt }: CutClaim) => ({
  claimId: claim,
  claimedBy: session === '' ? null : session,
  claimedLlm: db.raw(`(select name from llms where id::text = ?)`, [llmId]),
  claimedAt,
});

async function nextEpoch(
  trx: Knex.Transaction,
  { id, seen, lost }: { id: string; seen: number; lost: LostClaim | undefined },
): Promise<TaskRow | null> {
  const rows = await trx('tasks')
    .where({ id, epoch: seen })
    .whereRaw(OPEN)
    .update({
      epoch: seen + 1,
      status: 'pending',
      claimId: null,
      claimedBy: null,
      claimedLlm: null,
      claimedAt: null,
      streamStartedAt: null,
      ...counted(trx, lost),
    })
    .returning<unknown[]>(rowColumns);
  if (rows.length === 0) return null;
  if (lost) await writeDown(trx, id, lost);
  return parseTask(rows[0]);
}

async function writeDown(trx: Knex.Transaction, id: string, lost: LostClaim): Promise<void> {
  await trx.raw(
    `insert into task_attempts (task_id, n, llm, session, started_at, reason)
     select :id, (select count(*) + 1 from task_attempts where task_id = :id),
       coalesce((select name from llms where id::text = :llmId), :llmId), nullif(:session, '')::uuid,
       :startedAt, :reason`,
    { id, llmId: lost.llmId, session: lost.session, startedAt: lost.startedAt, reason: lost.reason },
  );
}

const counted = (trx: Knex, lost: LostClaim | undefined) => ({
  ...(lost?.counts === 'crash' ? { crashes: trx.raw('crashes + 1') } : {}),
  ...(lost?.counts === 'attempt' ? { attempts: trx.raw('attempts + 1') } : {}),
});

async function close(
  db: Knex,
  id: string,
  { status, code, message, lost, claim }: RowClosing,
): Promise<TaskRow | null> {
  const rows = await db('tasks')
    .where({ id })
    .whereRaw(OPEN)
    .update({
      status,
      errorCode: code,
      errorMessage: message,
      completedAt: db.fn.now(),
      ...counted(db, lost),
      ...(claim ? claimColumns(db, claim) : {}),
    })
    .returning<unknown[]>(rowColumns);
  return rows.length === 0 ? null : parseTask(rows[0]);
}

async function closeAfter(trx: Knex.Transaction, id: string, how: RowClosing): Promise<TaskRow | null> {
  const row = await close(trx, id, how);
  if (row && how.lost) await writeDown(trx, id, how.lost);
  return row;
}

const bytesOf = ({ ending: { outcome } }: Settling): number =>
  'body' in outcome ? (outcome.body?.length ?? 0) : 0;

export function createTaskEnds({ db, transaction }: Connection): TaskEnds {
  const settle = inBatches((settlings: readonly Settling[]) => settleTasks(db, settlings), forRows(bytesOf));
  return {
    async settle(id, ending) {
      try {
        return await settle({ id, ending });
      } catch (thrown) {
        if (!isUnstorable(thrown)) throw thrown;
        const outcome = {
          kind: 'failed',
          code: 'unstorable_result',
          message: 'The answer could not be stored.',
        } as const;
        return await settle({ id, ending: { ...ending, outcome } });
      }
    },
    close(id, how) {
      return how.lost === undefined ? close(db, id, how) : transaction((trx) => closeAfter(trx, id, how));
    },
    nextEpoch: (id, seen, lost) => transaction((trx) => nextEpoch(trx, { id, seen, lost })),
  };
}
