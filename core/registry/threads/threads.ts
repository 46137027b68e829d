import { v7 } from 'uuid';
import { z } from 'zod';
import type { Scope } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { Author } from '../../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { acceptTurn, turnUnder, type AcceptedTurn, type NewTurn } from './accept-turn.ts';
import { lockThread, startThread } from './locked-thread.ts';
import { createAskedReading, type AskedTurns } from './asked-turns.ts';
import { createThreadContexts, type ThreadContexts } from './context.ts';
import { createContinuations, type TurnContinuations } from './continue-turn.ts';
import {
  changeThread,
  deleteOutlived,
  dropOldBodies,
  forkThread,
  leaveOut,
  outlived,
  tasksOf,
  withOldBodies,
  type ThreadChange,
} from './keeping/keep-threads.ts';
import { importMessages, needRoomFor, type ImportedMessage } from './keeping/import-messages.ts';
import { endUnasked, type UnaskedTurn } from './end-unasked.ts';
import { createThreadWeights, type ThreadWeights } from './keeping/weights.ts';
import { createPassingThreads, type PassingThreads } from './passing.ts';
import { createUnfilled, type UnfilledAnswers } from './unfilled.ts';
import { createTurnStarts, type TurnStarts } from './start-turn.ts';
import { createTurnCalls, type TurnCalls } from './tools/calls.ts';
import { createToolResults, type ToolResults } from './tools/tool-results.ts';
import { instantSchema } from '../../newer-words.ts';
import type { TaskRow } from '../../task/task.ts';
import {
  messageRowSchema,
  messageSql,
  threadRowSchema,
  threadSql,
  turnColumns,
  turnRowSchema,
  type MessageRow,
  type ThreadRow,
  type TurnRow,
} from './rows.ts';

const openSchema = z.object({ id: z.string(), taskId: z.string(), poolName: z.string() });

const useSchema = z.object({ agentId: z.string(), threads: z.number(), lastAt: instantSchema });
type AgentUse = z.infer<typeof useSchema>;

export interface Threads
  extends
    AskedTurns,
    ThreadContexts,
    TurnStarts,
    TurnContinuations,
    ToolResults,
    TurnCalls,
    UnfilledAnswers,
    PassingThreads,
    ThreadWeights {
  /** Newest first. @param after the `lastAt` and id of the last one seen. */
  list(query: {
    scope: Scope;
    agent?: string | undefined;
    after?: { lastAt: string; id: string } | undefined;
    limit: number;
  }): Promise<ThreadRow[]>;
  /** @param which one of a call alone is asked for as such. @throws McpctlError `thread_not_found`, also for one outside the scope. */
  get(id: string, scope: Scope, which?: { isPassing: boolean }): Promise<ThreadRow>;
  /** Of a user, how many threads they have with each of these agents, and when they last said something there. */
  usesOf(ownerId: string, agentIds: readonly string[]): Promise<ReadonlyMap<string, AgentUse>>;
  /** @returns its id. @throws McpctlError `quota_exceeded`, `thread_full`. */
  create(thread: {
    agentId: string;
    ownerId: string;
    title: string;
    author?: Author;
    messages?: readonly ImportedMessage[];
    /** Deleted then; null: kept. */
    expiresAt?: Date | null;
  }): Promise<string>;
  /** In the order of `turnIndex`: those after one, or the last ones. */
  messages(
    id: string,
    page: { after?: number | undefined; last?: number | undefined; limit: number },
  ): Promise<MessageRow[]>;
  /** @throws McpctlError `thread_not_found`. */
  turn(threadId: string, n: number): Promise<TurnRow>;
  turnUnder(ownerId: string, key: string): Promise<TurnRow | undefined>;
  /** The answer of a turn, as far as it is there. */
  answer(turnId: string): Promise<MessageRow | undefined>;
  /** @throws McpctlError `thread_not_found`, `thread_full`, `turn_queue_full`, `quota_exceeded`. */
  accept(turn: NewTurn): Promise<AcceptedTurn>;
  /** Tasks of the turn that is open, of which there is one at most. */
  running(threadId: string): Promise<Pick<TaskRow, 'id' | 'poolName' | 'turnId'>[]>;
  /** As `endUnasked`. */
  endUnasked(turn: UnaskedTurn, how: Parameters<typeof endUnasked>[2]): Promise<boolean>;
  /** Deletes all that was said. @returns tasks of it that have not ended, and all of them. @throws McpctlError as `lockThread`. */
  delete(
    of: SeenThread,
    author?: Author,
  ): Promise<{ open: { id: string; poolName: string }[]; all: { id: string; poolName: string }[] }>;
  /** @throws McpctlError as `lockThread`. */
  change(of: SeenThread, change: ThreadChange, author?: Author): Promise<void>;
  /** As `leaveOut`. @throws McpctlError `thread_not_found`. */
  leaveOut(of: { id: string; ownerId: string }, turnId: string): Promise<void>;
  /** As `forkThread`. */
  fork(of: Parameters<typeof forkThread>[1], author?: Author): Promise<string>;
  /** As `outlived`. */
  outlived(keptMs: number | null, limit: number): Promise<string[]>;
  /** Where it still is outlived. @returns its tasks. */
  deleteOutlived(id: string, keptMs: number | null): Promise<string[]>;
  /** As `withOldBodies`. */
  withOldBodies(keptMs: number, limit: number): Promise<string[]>;
  /** As `dropOldBodies`. */
  dropOldBodies(turnIds: readonly string[]): Promise<number>;
  /** Drops the bodies of tasks that have ended. */
  dropBodies(taskIds: readonly string[]): Promise<void>;
}

/** One that its owner writes over, as they have read it; null: however it is. */
interface SeenThread {
  id: string;
  ownerId: string;
  ifMatch: number | null;
}

/** A scope as SQL; a thread is called by its id. */
function within(scope: Scope): { sql: string; bindings: Record<string, unknown> } {
  const parts = ['true'];
  if (scope.tokenId !== null) parts.push('false'); // none is a token's
  if (scope.ownerId !== null) parts.push('(t.owner_id = :ownerId or t.id::text = any(:names))');
  if (scope.within !== null) parts.push('(t.owner_id = :withinOwner or t.id::text = any(:withinNames))');
  if (scope.pools !== null) parts.push('l.pool_key = any(:pools)');
  return {
    sql: parts.join(' and '),
    bindings: {
      ...{ names: [...scope.orNames], ownerId: scope.ownerId, pools: scope.pools && [...scope.pools] },
      ...{ withinOwner: scope.within?.ownerId ?? null, withinNames: [...(scope.within?.names ?? [])] },
    },
  };
}

type Reading = 'list' | 'usesOf' | 'get' | 'messages' | 'turn' | 'turnUnder' | 'answer';

function createReading({ db }: Connection): Pick<Threads, Reading> {
  return {
    async list({ scope, agent, after, limit }) {
      const { sql, bindings } = within(scope);
      const ofAgent = agent === undefined ? '' : ' and a.name = :agent';
      const behind =
        after === undefined ? '' : ' and (t.last_turn_at, t.id) < (:lastAt::timestamptz, :id::uuid)';
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `${threadSql({ one: false })} where not t.is_passing and ${sql}${ofAgent}${behind} order by t.last_turn_at desc, t.id desc limit :limit`,
        { ...bindings, agent: agent ?? null, lastAt: after?.lastAt ?? null, id: after?.id ?? null, limit },
      );
      return rows.map((row) => threadRowSchema.parse(row));
    },
    async usesOf(ownerId, agentIds) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select agent_id, count(*)::int as threads, max(last_turn_at) as last_at from chat_threads
         where owner_id = :ownerId and not is_passing and agent_id = any(:agentIds) group by agent_id`,
        { ownerId, agentIds: [...agentIds] },
      );
      return new Map(rows.map((row) => useSchema.parse(row)).map((use) => [use.agentId, use]));
    },
    async get(id, scope, { isPassing } = { isPassing: false }) {
      const { sql, bindings } = within(scope);
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `${threadSql({ one: true })} where ${sql} and t.id = :id and t.is_passing = :isPassing`,
        { ...bindings, id, isPassing },
      );
      if (rows.length === 0) throw new McpctlError('thread_not_found');
      return threadRowSchema.parse(rows[0]);
    },
    async messages(id, { after, last, limit }) {
      const { rows } =
        last === undefined
          ? await db.raw<{ rows: unknown[] }>(
              `${messageSql} where m.thread_id = :id and m.turn_index > :after order by m.turn_index limit :limit`,
              { id, after: after ?? -1, limit },
            )
          : await db.raw<{ rows: unknown[] }>(
              `select * from (${messageSql} where m.thread_id = :id order by m.turn_index desc limit :last) as newest
               order by turn_index`,
              { id, last },
            );
      return rows.map((row) => messageRowSchema.parse(row));
    },
    async turn(threadId, n) {
      const row: unknown = await db('chatTurns').where({ threadId, n }).first(turnColumns);
      if (row === undefined) throw new McpctlError('thread_not_found');
      return turnRowSchema.parse(row);
    },
    turnUnder: (ownerId, key) => turnUnder(db, ownerId, key),
    async answer(turnId) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `${messageSql} where m.turn_id = :turnId and m.role = 'assistant' order by m.turn_index desc limit 1`,
        { turnId },
      );
      return rows.length === 0 ? undefined : messageRowSchema.parse(rows[0]);
    },
  };
}

/** What the audit calls one: its title is what somebody said. */
const about = ({ id, ownerId }: { id: string; ownerId: string }) => ({
  ...{ resource: 'thread', id, name: id, ownerId },
});

/** What its owner makes of a thread besides what is said in it. */
const changing = ({ transaction }: Connection, limits: RegistryLimits): Pick<Threads, 'change' | 'fork'> => ({
  change: (of, change, author) =>
    transaction(async (trx) => {
      await lockThread(trx, { ...of, threadId: of.id });
      await changeThread(trx, of, change);
      const changed = Object.entries(change).filter(([, value]) => value !== undefined);
      const changes = changed.map(([field]) => ({ field, masked: true as const }));
      if (changes.length > 0) await record(trx, author, { verb: 'edit', ...about(of), changes });
    }),
  fork: (of, author) =>
    transaction(async (trx) => {
      const id = await forkThread(trx, of, limits);
      await record(trx, author, { verb: 'create', ...about({ id, ownerId: of.ownerId }) });
      return id;
    }),
});

export function createThreads(connection: Connection, limits: RegistryLimits): Threads {
  const { db, transaction } = connection;
  return {
    ...createReading(connection),
    ...createAskedReading(connection),
    ...createThreadContexts(connection),
    ...changing(connection, limits),
    leaveOut: (of, turnId) => transaction((trx) => leaveOut(trx, of, turnId)),
    outlived: (keptMs, limit) => outlived(db, keptMs, limit),
    deleteOutlived: (id, keptMs) => transaction((trx) => deleteOutlived(trx, id, keptMs)),
    withOldBodies: (keptMs, limit) => withOldBodies(db, keptMs, limit),
    dropOldBodies: (turnIds) => dropOldBodies(db, turnIds),
    create: ({ agentId, ownerId, title, messages = [], expiresAt, author }) =>
      transaction(async (trx) => {
        const weighed = needRoomFor(messages, limits);
        const threadId = v7();
        await startThread(trx, { threadId, ownerId }, { agentId, title, bytes: weighed.bytes, limits });
        if (expiresAt) await changeThread(trx, { id: threadId, ownerId }, { expiresAt });
        if (messages.length > 0) await importMessages(trx, { id: threadId, ownerId }, weighed);
        await record(trx, author, { verb: 'create', ...about({ id: threadId, ownerId }) });
        return threadId;
      }),
    accept: (turn) => transaction((trx) => acceptTurn(trx, turn, limits), turn.task.requestBody.length),
    async running(threadId) {
      const open = await db('chatTurns').where({ threadId, status: 'running' }).whereNotNull('taskId');
      return z
        .array(openSchema)
        .parse(open)
        .map(({ id: turnId, taskId: id, poolName }) => ({ id, poolName, turnId }));
    },
    endUnasked: (turn, how) => endUnasked(db, turn, how),
    ...createTurnStarts(connection),
    ...createContinuations(connection, limits),
    ...createToolResults(connection, limits),
    ...createTurnCalls(connection, limits),
    ...createUnfilled(connection),
    ...createPassingThreads(connection),
    ...createThreadWeights(connection),
    delete: ({ id, ownerId, ifMatch }, author) =>
      transaction(async (trx) => {
        await lockThread(trx, { threadId: id, ownerId, ifMatch });
        const tasks = await tasksOf(trx, id);
        await trx('chatThreads').where({ id }).delete();
        await record(trx, author, { verb: 'delete', ...about({ id, ownerId }) });
        const open = tasks.filter(({ status }) => status === 'running');
        return {
          open: open.map(({ taskId, poolName }) => ({ id: taskId, poolName })),
          all: tasks.map(({ taskId, poolName }) => ({ id: taskId, poolName })),
        };
      }),
    async dropBodies(taskIds) {
      await db('tasks')
        .whereIn('id', [...taskIds])
        .whereNotNull('completedAt')
        .update({ requestBody: null, responseBody: null });
    },
  };
}
