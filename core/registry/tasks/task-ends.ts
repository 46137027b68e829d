import type { Assembled } from '../../agent/assemble.ts';
import { storedIdSchema } from '../../names.ts';
import type { Ending } from '../../task/outcome.ts';
import type { TaskRow } from '../../task/task.ts';
import { inLanes } from './batches.ts';
import type { Connection } from '../database/connect.ts';
import { preparedIn } from '../database/prepared.ts';
import { isUnstorable, type SqlFault } from '../database/faults.ts';
import { McpctlError } from '../../errors.ts';
import { storableReason, type ErrorReason } from '../../task/error-reason.ts';
import { pause } from '../../runtime/clock.ts';
import { storableJsonText, storableSentence, storableWord } from '../../text/storable.ts';
import { closeTasks } from './close-tasks.ts';
import { renewTasks, type Renewed } from './renew-tasks.ts';
import type { OpenRef } from './task-upkeep.ts';
import { LOCKED, settleTasks, sizeOf, type Settling } from './settle-tasks.ts';
import { OPEN, parseTask, rowColumns, STARTS_OVER } from './task-rows.ts';
import type { Knex } from 'knex';

/**
 * The ways a task's row moves. Each is one conditional UPDATE: it changes a row that has not ended, or nothing
 * and gives null; what the row then says is what the task's outcome is.
 */
export interface TaskEnds {
  /** Writes the outcome that the stream's end carries. An answer that Postgres cannot hold ends `unstorable_result`. */
  settle(id: string, ending: Ending, more?: Omit<Settling, 'id' | 'ending'>): Promise<TaskRow | null>;
  /** The same of many in one statement: those that changed. One whose row somebody holds just now is left as it is. */
  settleMany(settlings: readonly Settling[]): Promise<TaskRow[]>;
  /** `close` of many in one statement, as `settleMany`. */
  closeMany(
    closings: readonly (Pick<RowClosing, 'status' | 'code' | 'message' | 'errorReason' | 'answer'> & {
      id: string;
      poolName: string;
    })[],
  ): Promise<TaskRow[]>;
  /** `nextEpoch` of many that Redis has lost, with what it takes to enqueue them; as `settleMany`. */
  renewMany(seen: readonly Pick<OpenRef, 'taskId' | 'epoch' | 'bytes'>[]): Promise<Renewed[]>;
  /** `cancelled`, or `error` with a code, from outside: cancel, expire, give up. */
  close(id: string, how: RowClosing): Promise<TaskRow | null>;
  /**
   * Allocates the next epoch, if the row is still at the one seen: the only place where epochs are made. The
   * claim columns go back to NULL; an attempt that failed or crashed is written down, and the time that it took is not
   * taken for waiting. A row that somebody holds just now counts as moved: who decides by it looks again.
   */
  nextEpoch(id: string, seen: number, lost?: LostClaim): Promise<TaskRow | null>;
}

/** How a row is ended from outside. */
export interface RowClosing {
  status: 'cancelled' | 'error';
  code: string;
  message: string;
  /** What a backend said beside the sentence. */
  errorReason?: ErrorReason | null;
  /** Of a turn of a thread what its caller was shown; the row hands it over to the thread. */
  answer?: Assembled | null | undefined;
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
  /** What its backend said beside the sentence. */
  errorReason?: ErrorReason | null;
}

/** A claim that a close ends in the middle. */
interface CutClaim {
  claim: string;
  session: string;
  llmId: string;
  claimedAt: Date | null;
}

/** A row that somebody holds is tried so often, each time a little later. */
const HELD_TRIES = 4;
const HELD_MS = 20;
/** As Postgres says it of a row that is waited for. */
const rowIsHeld: SqlFault = { sqlState: '55P03', constraint: undefined, table: 'tasks' };

const claimColumns = (db: Knex, { claim, session, llmId, claimedAt }: CutClaim) => ({
  claimId: claim,
  claimedBy: storedIdSchema.safeParse(session).data ?? null,
  claimedLlm: db.raw(`(select name from llms where id::text = ?)`, [llmId]),
  claimedAt,
});

async function nextEpoch(
  trx: Knex.Transaction,
  { id, seen, lost }: { id: string; seen: number; lost: LostClaim | undefined },
): Promise<TaskRow | null> {
  // One that is behind is of a Postgres that lost its last commits: epochs of before are in Redis still.
  const lockedRow = trx('tasks')
    .where({ id })
    .where('epoch', '<=', seen)
    .whereRaw(OPEN)
    .forUpdate()
    .skipLocked()
    .select('id');
  const rows = await trx('tasks')
    .where({ id })
    .whereIn('id', lockedRow)
    .whereRaw(OPEN)
    .update({
      epoch: seen + 1,
      queueDeadline: deadlineAfter(trx, lost),
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

/**
 * Until when it may wait from now on. While a member had it it did not wait; whoever's clock says how long that was, it is
 * never less than before, nor more than it was given in the first place. What a member lost has a moment to be taken again.
 */
function deadlineAfter(trx: Knex.Transaction, lost: LostClaim | undefined): Knex.Raw {
  if (!lost || lost.counts === 'none') return trx.raw('queue_deadline');
  return trx.raw(
    `greatest(${STARTS_OVER}, least(queue_deadline + (now() - ?::timestamptz), now() + (queue_deadline - created_at)))`,
    [lost.startedAt],
  );
}

async function writeDown(trx: Knex.Transaction, id: string, lost: LostClaim): Promise<void> {
  await trx.raw(
    `insert into task_attempts (task_id, n, llm, session, started_at, reason, error_reason)
     select :id, (select count(*) + 1 from task_attempts where task_id = :id),
       coalesce((select name from llms where id::text = :llmId), :llmId), :session::uuid,
       :startedAt, :reason, :errorReason::jsonb`,
    {
      id,
      llmId: storableWord(lost.llmId),
      session: storedIdSchema.safeParse(lost.session).data ?? null,
      startedAt: lost.startedAt,
      reason: storableSentence(lost.reason),
      errorReason: reasonText(lost.errorReason),
    },
  );
}

const reasonText = (reason: ErrorReason | null | undefined): string | null =>
  reason ? JSON.stringify(storableReason(reason)) : null;

const counted = (trx: Knex, lost: LostClaim | undefined) => ({
  ...(lost?.counts === 'crash' ? { crashes: trx.raw('crashes + 1') } : {}),
  ...(lost?.counts === 'attempt' ? { attempts: trx.raw('attempts + 1') } : {}),
});

async function close(
  db: Knex,
  id: string,
  { status, code, message, errorReason, lost, claim, answer }: RowClosing,
): Promise<TaskRow | null> {
  const rows = await db('tasks')
    .where({ id })
    .whereRaw(OPEN)
    .update({
      status,
      errorCode: storableWord(code),
      errorMessage: storableSentence(message),
      errorReason: reasonText(errorReason),
      completedAt: db.fn.now(),
      ...(answer ? { answer: storableJsonText(answer) } : {}),
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

export function createTaskEnds({ db, prepared, transaction }: Connection): TaskEnds {
  const settleOnce = inLanes((settlings: readonly Settling[]) => settleTasks(prepared, settlings), {
    bytesOf: sizeOf,
    alone: async (settling) => {
      const [row = null] = await transaction(
        (trx) => settleTasks(preparedIn(trx), [settling]),
        sizeOf(settling),
      );
      return row;
    },
  });
  const settle = async (settling: Settling): Promise<TaskRow | null> => {
    for (let tried = 1; ; tried++) {
      const row = await settleOnce(settling);
      if (row !== LOCKED) return row;
      // Most hold a row for the moment that their own statement takes.
      if (tried === HELD_TRIES)
        throw new McpctlError('unavailable', undefined, { retryAfterS: 1, cause: rowIsHeld });
      await pause(HELD_MS * tried);
    }
  };
  return {
    async settleMany(settlings) {
      const rows = await settleTasks(prepared, settlings);
      return rows.filter((row) => row !== null && row !== LOCKED);
    },
    closeMany: (closings) => closeTasks(db, closings),
    renewMany: (seen) => renewTasks({ db, transaction }, seen),
    async settle(id, ending, more = {}) {
      try {
        return await settle({ id, ending, ...more });
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
