import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import type { Scope } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { errorReasonSchema } from '../../task/error-reason.ts';
import { taskStatuses, type TaskRow, type TaskStatus } from '../../task/task.ts';
import { inLanes } from './batches.ts';
import type { Connection } from '../database/connect.ts';
import { preparedIn } from '../database/prepared.ts';
import { insertTasks, type NewTask } from './insert-tasks.ts';
import { createTaskCounts, type TaskCounts } from './task-counts.ts';
import { createTaskEnds, type TaskEnds } from './task-ends.ts';
import { createTaskKept, type TaskKept } from './task-kept.ts';
import { parseTask, parseTasks, rowColumns } from './task-rows.ts';
import { createTaskUpkeep, type TaskUpkeep } from './task-upkeep.ts';

export interface TaskFilter {
  scope: Scope;
  statuses?: readonly TaskStatus[] | undefined;
  pool?: string | undefined;
  llm?: string | undefined;
  agent?: string | undefined;
  /** The name of who asked. */
  owner?: string | undefined;
  member?: string | undefined;
  session?: string | undefined;
  source?: TaskRow['source'] | undefined;
  code?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  idPrefix?: string | undefined;
  /** Tasks older than this id. */
  before?: string | undefined;
  limit: number;
}

/** So far an edge's clock, by which ids are in order, may be from the database's, by which a task was made. */
const CLOCKS_APART_MS = 60 * 60_000;
/** The first id of an instant: rows beyond it are not looked at. */
const firstIdOf = (ms: number): string => v7({ msecs: Math.max(0, ms), seq: 0, random: new Uint8Array(16) });
/** The first and last id that begin so. */
function idsFrom(prefix: string): [string, string] {
  const digits = prefix.replaceAll('-', '').slice(0, 32);
  const filled = (digit: string): string =>
    digits.padEnd(32, digit).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return [filled('0'), filled('f')];
}

/** The newest `limit` of those that it names. */
function narrowed(db: Knex, { scope, statuses, before, limit, ...filter }: TaskFilter): Knex.QueryBuilder {
  const query = db('tasks').orderBy('id', 'desc').limit(limit);
  if (scope.ownerId !== null) query.where({ ownerId: scope.ownerId });
  if (scope.within !== null) query.where({ ownerId: scope.within.ownerId });
  if (scope.pools !== null) query.whereIn('poolName', [...scope.pools]);
  if (statuses !== undefined) query.whereIn('status', [...statuses]);
  const { pool, llm, agent, member, session, source, code } = filter;
  const words = {
    ...{ poolName: pool, llmName: llm, agentId: agent, claimedLlm: member },
    ...{ claimedBy: session, source, errorCode: code },
  };
  query.where(Object.fromEntries(Object.entries(words).filter(([, word]) => word !== undefined)));
  const { owner, since, until, idPrefix } = filter;
  if (owner !== undefined) query.whereIn('ownerId', db('users').where({ name: owner }).select('id'));
  if (since !== undefined)
    query
      .where('createdAt', '>=', since)
      .where('id', '>=', firstIdOf(new Date(since).getTime() - CLOCKS_APART_MS));
  if (until !== undefined)
    query
      .where('createdAt', '<', until)
      .where('id', '<', firstIdOf(new Date(until).getTime() + CLOCKS_APART_MS));
  if (idPrefix !== undefined) query.whereBetween('id', idsFrom(idPrefix));
  if (before !== undefined) query.where('id', '<', before);
  return query;
}

/** The bodies of a task, as text; either may have been dropped. */
export interface TaskBodies {
  requestBody: string | null;
  responseBody: string | null;
}

const attemptSchema = z.object({
  n: z.number(),
  llm: z.string(),
  session: z.string().nullable(),
  startedAt: z.date().nullable(),
  endedAt: z.date(),
  reason: z.string(),
  /** What its backend said beside the sentence; null also where a later release wrote what we cannot read. */
  errorReason: errorReasonSchema.nullable().catch(null),
});
export type TaskAttempt = z.infer<typeof attemptSchema>;
const attemptRowSchema = attemptSchema.extend({ taskId: z.string() });
const attemptColumns = Object.keys(attemptRowSchema.shape);

const inShortSchema = z.object({
  id: z.string(),
  ownerId: z.string(),
  poolName: z.string(),
  status: z.enum(taskStatuses),
});
const headersSchema = z
  .object({ headers: z.record(z.string(), z.string()).catch({}) })
  .catch({ headers: {} });
const statusCounts = z.array(z.object({ status: z.enum(taskStatuses), count: z.int() }));
export type TaskInShort = z.infer<typeof inShortSchema>;

const askerSchema = z.object({
  id: z.string(),
  owner: z.string().nullable(),
  token: z.string().nullable(),
  /** Whose it is: who acts as another calls with a token of their own. */
  tokenOwnerId: z.string().nullable(),
});
type TaskAsker = z.infer<typeof askerSchema>;

export interface Tasks extends TaskCounts, TaskEnds, TaskKept, TaskUpkeep {
  /** Commits the row: from here on the task is accepted, and never lost. */
  insert(task: NewTask): Promise<TaskRow>;
  byId(id: string): Promise<TaskRow | undefined>;
  /** Newest first: ids are uuid v7, so they are in the order of time. */
  list(filter: TaskFilter): Promise<TaskRow[]>;
  /** How many of those that `list` would give are stored as what; one that lives is pending, whatever it is just now. */
  statuses(filter: TaskFilter): Promise<ReadonlyMap<TaskStatus, number>>;
  /** The newest of all, in a few words each: whoever looks every second reads no more of them. */
  newest(most: number): Promise<TaskInShort[]>;
  /** The names of who asked, and of their tokens; those that are gone are null. */
  askersOf(ids: readonly string[]): Promise<ReadonlyMap<string, TaskAsker>>;
  bodies(id: string): Promise<TaskBodies>;
  /** The operation that was asked for, where members were asked a translation of it; null where they were not. */
  translatedFrom(id: string): Promise<string | null>;
  /** The few that a backend may see. */
  headersOf(id: string): Promise<Record<string, string>>;
  /** How long they are together, in bytes; tells without reading them. */
  bodyBytes(id: string): Promise<number>;
  attempts(id: string): Promise<TaskAttempt[]>;
  /** The same of many; those that had none are not in it. */
  attemptsOf(ids: readonly string[]): Promise<Map<string, TaskAttempt[]>>;
  /** Tasks that have not ended, per pool, and the age of the oldest. */
  open(poolKeys: readonly string[]): Promise<Map<string, { count: number; oldestMs: number }>>;
}

export function createTasks(connection: Connection): Tasks {
  const { db, prepared } = connection;
  const insert = inLanes((tasks: readonly NewTask[]) => insertTasks(prepared, tasks), {
    bytesOf: ({ requestBody }) => requestBody.length,
    alone: (task) => insertAlone(connection, task),
  });
  return {
    ...createTaskCounts(connection),
    ...createTaskEnds(connection),
    ...createTaskKept(connection),
    ...createTaskUpkeep(connection),
    insert,
    async byId(id) {
      const row: unknown = await db('tasks').where({ id }).first(rowColumns);
      return row === undefined ? undefined : parseTask(row);
    },
    list: async (filter) => parseTasks(await narrowed(db, filter).select<unknown[]>(rowColumns)),
    async statuses(filter) {
      const rows: unknown = await db
        .from(narrowed(db, filter).select('status').as('newest'))
        .groupBy('status')
        .select('status', db.raw('count(*)::int as count'));
      return new Map(statusCounts.parse(rows).map(({ status, count }) => [status, count]));
    },
    async newest(most) {
      const columns = Object.keys(inShortSchema.shape);
      const rows: unknown = await db('tasks').orderBy('id', 'desc').limit(most).select(columns);
      return inShortSchema.array().parse(rows);
    },
    askersOf: (ids) => askersOf(db, ids),
    bodies: (id) => bodiesOf(connection, id),
    async translatedFrom(id) {
      const row = await db('tasks')
        .where({ id })
        .first<{ from: string | null } | undefined>(db.raw(`request_headers ->> 'translated' as "from"`));
      return row?.from ?? null;
    },
    headersOf: (id) => headersOf(db, id),
    bodyBytes: (id) => bodyBytesOf(connection, id),
    attempts: async (id) => (await attemptsOf(db, [id])).get(id) ?? [],
    attemptsOf: (ids) => attemptsOf(db, ids),
    async open(poolKeys) {
      const { rows } = await db.raw<{ rows: { poolName: string; count: string; oldestMs: string }[] }>(
        `select pool_name, count(*) as count,
           extract(epoch from clock_timestamp() - min(created_at)) * 1000 as oldest_ms
         from tasks where status in ('pending', 'claimed', 'running') and pool_name = any(:poolKeys)
         group by pool_name`,
        { poolKeys: [...poolKeys] },
      );
      return new Map(
        rows.map((r) => [
          r.poolName,
          { count: Number(r.count), oldestMs: Math.max(0, Math.round(Number(r.oldestMs))) },
        ]),
      );
    },
  };
}

async function insertAlone({ transaction }: Connection, task: NewTask): Promise<TaskRow> {
  const [row] = await transaction((trx) => insertTasks(preparedIn(trx), [task]), task.requestBody.length);
  if (!row) throw new McpctlError('internal');
  return row;
}

async function bodiesOf(connection: Connection, id: string): Promise<TaskBodies> {
  const bytes = await bodyBytesOf(connection, id);
  const read = (db: Knex): Promise<TaskBodies | undefined> =>
    db('tasks').where({ id }).first<TaskBodies | undefined>('requestBody', 'responseBody');
  const row = isLarge(bytes) ? await connection.transaction(read, bytes) : await read(connection.db);
  return row ?? { requestBody: null, responseBody: null };
}

async function askersOf(db: Knex, ids: readonly string[]): Promise<ReadonlyMap<string, TaskAsker>> {
  const rows: unknown = await db('tasks')
    .leftJoin('users', 'users.id', 'tasks.ownerId')
    .leftJoin('tokens', 'tokens.id', 'tasks.tokenId')
    .whereIn('tasks.id', [...ids])
    .select({
      id: 'tasks.id',
      owner: 'users.name',
      token: 'tokens.name',
      tokenOwnerId: 'tokens.userId',
    });
  return new Map(
    askerSchema
      .array()
      .parse(rows)
      .map((asker) => [asker.id, asker]),
  );
}

async function headersOf(db: Knex, id: string): Promise<Record<string, string>> {
  const row: unknown = await db('tasks')
    .where({ id })
    .first(db.raw(`request_headers -> 'headers' as "headers"`));
  return headersSchema.parse(row).headers;
}

async function bodyBytesOf({ db }: Connection, id: string): Promise<number> {
  const { rows } = await db.raw<{ rows: { bytes: number }[] }>(
    `select coalesce(octet_length(request_body), 0) + coalesce(octet_length(response_body), 0) as bytes
     from tasks where id = :id`,
    { id },
  );
  return rows[0]?.bytes ?? 0;
}

async function attemptsOf(db: Knex, ids: readonly string[]): Promise<Map<string, TaskAttempt[]>> {
  const attempts = new Map<string, TaskAttempt[]>();
  if (ids.length === 0) return attempts;
  const rows = await db('taskAttempts')
    .whereIn('taskId', [...ids])
    .orderBy(['taskId', 'n'])
    .select<unknown[]>(attemptColumns);
  for (const { taskId, ...attempt } of attemptRowSchema.array().parse(rows)) {
    const others = attempts.get(taskId);
    if (others) others.push(attempt);
    else attempts.set(taskId, [attempt]);
  }
  return attempts;
}
