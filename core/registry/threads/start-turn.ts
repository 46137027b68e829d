import type { Knex } from 'knex';
import { z } from 'zod';
import { taskRowSchema, type TaskRow } from '../../task/task.ts';
import type { Connection } from '../database/connect.ts';
import { preparedIn } from '../database/prepared.ts';
import { insertTasks, type NewTask } from '../tasks/insert-tasks.ts';
import { compositionColumns, insertPlaceholder, type TurnMade, type TurnPlace } from './accept-turn.ts';
import { lockThread, moveOn } from './locked-thread.ts';
import { unended } from './rows.ts';

/** The turn of a thread that is to be asked now: the first in line where none is open, or one whose next round may begin. */
const nextSchema = z.object({
  id: z.string(),
  threadId: z.string(),
  n: z.number(),
  status: z.enum(['queued', 'waiting']),
  agent: z.string(),
  ownerId: z.string(),
  tokenId: z.string(),
  request: z.string(),
  pin: z.string().nullable(),
  personality: z.string().nullable(),
  /** In place of the agent's system prompt. */
  system: z.string().nullable(),
  /** Nothing of the thread may be left out. */
  isWhole: z.boolean().nullable(),
  /** `must`: its backend found it too long. */
  shrink: z.enum(['may', 'must', 'done']).nullable(),
  /** What was sent with the round before. */
  bytes: z.number().nullable(),
  /** Of the round before. */
  taskId: z.string().nullable(),
  rounds: z.number(),
  /** It is of one call, whose messages are in its request alone. */
  isPassing: z.boolean(),
  /** What becomes of it when nobody waits for it, as of the round before; null: it is the first. */
  onDisconnect: taskRowSchema.shape.onDisconnect.nullable(),
  graceSeconds: z.number().nullable(),
});
export type NextTurn = z.infer<typeof nextSchema>;

/** Without a deadline it waits for no result of a tool any more. */
const isReady = `q.status = 'waiting' and q.tool_deadline is null`;
const isIdle = `not exists (select 1 from chat_turns o where o.thread_id = q.thread_id and o.status in ('running', 'waiting'))`;

async function turnsBefore(db: Knex, threadId: string, n: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { count: number }[] }>(
    `select count(*)::int as count from (${unended(':threadId', 'n')}) u where n < :n`,
    { threadId, n },
  );
  return rows[0]?.count ?? 0;
}

/** Each part has an index of its own, and ends at the first row: at rest it is all that a look asks. */
const anyOpenSql = `
  select exists (select from chat_turns where status = 'queued') or exists (select from chat_turns where status = 'waiting')
    or exists (select from chat_calls where ended_at is null) as "isAny"`;

async function anyOpen(db: Knex): Promise<boolean> {
  const { rows } = await db.raw<{ rows: { isAny: boolean }[] }>(anyOpenSql);
  return rows[0]?.isAny === true;
}

/** Threads in which somebody waits in line and nobody is answered, those that wait longest first. */
async function waitingThreads(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { threadId: string }[] }>(
    `select q.thread_id from chat_turns q where q.status = 'queued' and ${isIdle}
     group by q.thread_id order by min(q.created_at) limit ?`,
    [limit],
  );
  return rows.map(({ threadId }) => threadId);
}

/** Threads with a turn whose next round is to begin: whoever brought the last result has gone, or its edge has died. */
async function readyThreads(db: Knex, limit: number): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { threadId: string }[] }>(
    `select q.thread_id from chat_turns q where ${isReady} limit ?`,
    [limit],
  );
  return rows.map(({ threadId }) => threadId);
}

/** Each half has an index of its own: there are few such turns, and thousands of others. */
const nextSql = `
  select q.id, q.thread_id, q.n, q.status, a.name as agent, q.owner_id, q.token_id, q.request,
    q.composition ->> 'pin' as pin, q.composition ->> 'personality' as personality, q.composition ->> 'system' as system,
    (q.composition ->> 'isWhole')::boolean as is_whole, q.shrink, k.request_bytes::float8 as bytes, q.task_id, q.rounds,
    t.is_passing, k.on_disconnect, k.grace_seconds
  from (
    select * from chat_turns q where q.thread_id = :threadId and ${isReady}
    union all select * from chat_turns q where q.thread_id = :threadId and q.status = 'queued' and ${isIdle}
  ) q join chat_threads t on t.id = q.thread_id join agents a on a.id = t.agent_id
    left join tasks k on k.id = q.task_id
  order by q.n limit 1`;

async function nextTurn(db: Knex, threadId: string): Promise<NextTurn | null> {
  const { rows } = await db.raw<{ rows: unknown[] }>(nextSql, { threadId });
  return rows.length === 0 ? null : nextSchema.parse(rows[0]);
}

/**
 * A turn's time has come, or its next round's: the answer gets its place, behind the results, and a task of its own. Of many
 * who do so one does.
 * @param seen the revision of the thread that its request was composed from. @returns null when it is another by now.
 */
async function startTurn(
  trx: Knex.Transaction,
  {
    turn,
    seen,
    task,
    made,
    hasTools,
  }: { turn: NextTurn; seen: number; task: NewTask; made: TurnMade; hasTools: boolean },
): Promise<{ row: TaskRow; place: TurnPlace } | null> {
  const { id, threadId, n, ownerId, taskId, status, rounds, shrink } = turn;
  const thread = await lockThread(trx, { threadId, ownerId });
  if (thread.revision !== seen) return null;
  const next = await nextTurn(trx, threadId);
  if (next?.id !== id || next.taskId !== taskId) return null;
  await trx('chatTurns')
    .where({ id })
    .update({
      status: 'running',
      ...(status === 'queued'
        ? { waitsForTools: hasTools || made.toolsFrom !== null }
        : { rounds: rounds + 1, ...(made.toolsFrom !== null && { waitsForTools: true }) }),
      taskId: task.id,
      poolName: task.poolKey,
      ...compositionColumns(made),
      // One that was offered tools stays so, whatever its agent has now: its rounds are one answer.
      ...(made.toolsFrom === null && {
        serverCalls: trx.raw(`case when server_calls is not null then 'may' end`),
      }),
      // Once in a turn, whatever comes of it.
      ...((shrink === 'must' || shrink === 'done') && { shrink: 'done' }),
    });
  const place = { id, threadId, n, answerIndex: thread.nextMessage };
  await insertPlaceholder(trx, { ...place, taskId: task.id, made: made.made });
  await moveOn(trx, threadId, { messages: 1, cut: made.composition });
  const [row] = await insertTasks(preparedIn(trx), [task]);
  return row ? { row, place } : null;
}

export interface TurnStarts {
  /** Whether a turn waits, in line or for its tools, or a call of one runs: else a look has nothing to do. */
  anyOpen(): Promise<boolean>;
  /** Threads with turns in line, and none that is open. */
  waiting(limit: number): Promise<string[]>;
  /** Threads with a turn whose next round is to begin. */
  readyThreads(limit: number): Promise<string[]>;
  /** How many turns have to end before that one may begin. */
  before(threadId: string, n: number): Promise<number>;
  /** The turn that is to be started, or gone on with; null: none waits, or one is open. */
  next(threadId: string): Promise<NextTurn | null>;
  /** As `startTurn`. @throws McpctlError `thread_not_found`. */
  start(what: Parameters<typeof startTurn>[1]): Promise<{ row: TaskRow; place: TurnPlace } | null>;
}

export const createTurnStarts = ({ db, transaction }: Connection): TurnStarts => ({
  anyOpen: () => anyOpen(db),
  waiting: (limit) => waitingThreads(db, limit),
  readyThreads: (limit) => readyThreads(db, limit),
  before: (threadId, n) => turnsBefore(db, threadId, n),
  next: (threadId) => nextTurn(db, threadId),
  start: (what) => transaction((trx) => startTurn(trx, what), what.task.requestBody.length),
});
