import { poolOfServer } from '../../mcp/names.ts';
import { storedIdSchema } from '../../names.ts';
import type { Knex } from 'knex';
import { z } from 'zod';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import { keptHeadSchema, type KeptHead } from '../../task/head.ts';
import { taskRowSchema, type TaskRow } from '../../task/task.ts';
import type { Connection } from '../database/connect.ts';
import { IS_OPEN } from '../idempotency.ts';
import { meansServer } from '../names/meant.ts';
import { endedFirst, freeAmong, OPEN, parseTasks, rowColumns } from './task-rows.ts';

/** What the scheduler's duties ask about tasks. */
export interface TaskUpkeep {
  /** Tasks that have not ended and are older than `olderThanMs`, in pages by id, so that nothing starves. */
  openOlderThan(olderThanMs: number, page: { after: string | null; limit: number }): Promise<TaskRow[]>;
  /** The same, but of each only what its keys are called by, and its epoch. */
  openRefs(olderThanMs: number, page: { after: string | null; limit: number }): Promise<OpenRef[]>;
  /** The same of those that came within `withinMs`, by their ids, the newest first. */
  newestRefs(olderThanMs: number, page: { withinMs: number; limit: number }): Promise<OpenRef[]>;
  /** Rows by their ids, in no order; those that are there. */
  byIds(ids: readonly string[]): Promise<TaskRow[]>;
  /** What it takes to enqueue a task again; null when the row is gone. */
  submissionOf(id: string): Promise<Submission | null>;
  /** Tasks that have not ended although their time to wait is over, the longest overdue first, after so many others. */
  overdue(page: { skip: number; limit: number }): Promise<Overdue[]>;
  /**
   * Tasks that have not ended of users who may not run any more what would take them, in pages by id: neither their pool nor,
   * where they are pinned, that llm; of calls of an MCP server, that server.
   */
  unentitled(page: { after: string | null; limit: number }): Promise<TaskRow[]>;
  /**
   * Which of these, that nobody has, may have been given to a member all the same, in writes that Redis lost: each epoch but the first
   * follows a claim that came to nothing, which is written down as an attempt, or such a loss.
   */
  mayHaveRun(ids: readonly string[]): Promise<Set<string>>;
  /** Pool keys with a task that has not ended. */
  openPools(): Promise<string[]>;
  /** Pool keys of the tasks that came within `withinMs` and have not ended, of the newest so many. */
  newestPools(page: { withinMs: number; limit: number }): Promise<string[]>;
  /**
   * Which of these ids have a row that has not ended, of this pool where one is named: what stands in a pool's keys says
   * nothing about others' tasks. What is no id has none.
   */
  openAmong(ids: readonly string[], poolKey?: string): Promise<Set<string>>;
  /** Tasks that ended longer ago than this, past those that somebody holds. */
  prunable(retentionMs: number, limit: number): Promise<string[]>;
  /** Deletes tasks, with what hangs on them. @returns how many. */
  deleteEnded(ids: readonly string[]): Promise<number>;
  /** Deletes idempotency keys that expired, and whose tasks have ended. @returns how many. */
  pruneKeys(limit: number): Promise<number>;
  /** Drops both bodies of a task that has ended and asked for that. @returns whether there were any. */
  dropBodies(id: string): Promise<boolean>;
  /** Those that ended longer ago than this with bodies that are to be dropped: nobody has come for them. */
  unfetched(olderThanMs: number, limit: number): Promise<string[]>;
  /** Drops their bodies, past those that somebody holds. @returns how many. */
  dropUnfetched(ids: readonly string[]): Promise<number>;
}

export interface OpenRef {
  taskId: string;
  poolKey: string;
  pin: string | null;
  epoch: number;
  /** Of what was asked. */
  bytes: number;
}

const overdueSchema = taskRowSchema.pick({
  id: true,
  poolName: true,
  turnId: true,
  epoch: true,
  source: true,
  operation: true,
});
/** What ending one takes. */
export type Overdue = z.infer<typeof overdueSchema>;

/** `waitMs` is what is left of the time to wait. */
export interface Submission {
  body: string;
  head: KeptHead;
  waitMs: number;
}

const submissionSchema = z.object({
  requestBody: z.string(),
  requestHeaders: keptHeadSchema,
  waitMs: z.coerce.number(),
});

/** @param of the row's id, and where it is read: a hosted worker may read a view alone (core/registry/hosted). */
export async function submissionOf(
  { db, transaction }: Connection,
  { table, id }: { table: 'tasks' | 'hosted_requests'; id: string },
): Promise<Submission | null> {
  const read = async (from: Knex): Promise<unknown> =>
    await from(table)
      .where({ id })
      .whereNotNull('requestBody')
      .first(
        'requestBody',
        'requestHeaders',
        db.raw(`greatest(0, extract(epoch from queue_deadline - now()) * 1000) as wait_ms`),
      );
  const size = await db(table).where({ id }).first<{ bytes: number } | undefined>('requestBytes as bytes');
  const bytes = Number(size?.bytes ?? 0);
  const row = isLarge(bytes) ? await transaction(read, bytes) : await read(db);
  const parsed = submissionSchema.safeParse(row);
  if (!parsed.success) return null;
  const { requestBody: body, requestHeaders: head, waitMs } = parsed.data;
  return { body, head, waitMs: Math.round(waitMs) };
}

async function mayHaveRunAmong(db: Knex, ids: readonly string[]): Promise<Set<string>> {
  const attempts = db('taskAttempts').whereRaw('task_id = tasks.id').count();
  const rows = await db('tasks')
    .whereIn('id', ids)
    .where('epoch', '>', db.raw('1 + (?)', [attempts]))
    .select<{ id: string }[]>('id');
  return new Set(rows.map(({ id }) => id));
}

async function overdueIn(db: Knex, { skip, limit }: { skip: number; limit: number }): Promise<Overdue[]> {
  const query = db('tasks')
    .whereRaw(OPEN)
    .where('queueDeadline', '<', db.fn.now())
    .orderBy([{ column: 'queueDeadline' }, { column: 'id' }])
    .offset(skip)
    .limit(limit);
  const rows = await query.select<unknown[]>(Object.keys(overdueSchema.shape));
  return rows.map((row) => overdueSchema.parse(row));
}

async function unentitledIn(db: Knex, page: { after: string | null; limit: number }): Promise<TaskRow[]> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(unentitledSql, page);
  const ids = rows.map(({ id }) => id);
  const query = db('tasks').whereIn('id', ids).orderBy('id');
  return ids.length === 0 ? [] : parseTasks(await query.select<unknown[]>(rowColumns));
}

/** Of a call of an MCP server, that is there: its caller neither owns it, nor is granted it or a project that its owner lends it to. */
const mayNotCallServer = `exists (
      select 1 from servers s
      where s.name = substr(a.pool_name, ${String(poolOfServer('').length + 1)}) and s.owner_id <> a.owner_id
        and not user_may(a.owner_id, 'run', 'server', s.name)
        and not exists (
          select 1 from projects p
          where p.owner_id = s.owner_id and p.servers @> jsonb_build_array(jsonb_build_object('server', s.name))
            and ${meansServer('p.id', 's')}
            and user_may(a.owner_id, 'run', 'project', p.name)))`;

/** Asked once for all tasks of one user that the same may take. */
const unentitledSql = `
  with asked as materialized (
    select distinct owner_id, pool_name, pin, operation = 'mcp' as of_server from tasks where ${OPEN}),
  lost as materialized (
    select a.* from asked a left join llms l on l.id::text = a.pin
    where case when a.of_server then ${mayNotCallServer}
      else not user_may(a.owner_id, 'run', 'pool', a.pool_name)
        and (l.id is null or not user_may(a.owner_id, 'run', 'llm', l.name)) end)
  select t.id from tasks t
    join lost on lost.owner_id = t.owner_id and lost.pool_name = t.pool_name and t.pin is not distinct from lost.pin
      and (t.operation = 'mcp') = lost.of_server
  where t.${OPEN} and (cast(:after as uuid) is null or t.id > :after)
  order by t.id limit :limit`;

/**
 * Pool by pool along the index `tasks_open`: what it costs goes by the number of pools, not of tasks.
 */
const openPoolsSql = `
  with recursive pools as (
    (select pool_name from tasks where ${OPEN} order by pool_name limit 1)
    union all
    select (select t.pool_name from tasks t
      where t.status in ('pending', 'claimed', 'running') and t.pool_name > pools.pool_name
      order by t.pool_name limit 1)
    from pools where pools.pool_name is not null)
  select pool_name from pools where pool_name is not null`;

/** Ended, not to be kept, and still there: the same words as the partial index `tasks_unfetched`, or it is not used. */
const DROPPABLE = `retention = 'none' and completed_at is not null and (request_body is not null or response_body is not null)`;
const nobody = { requestBody: null, responseBody: null };

const refColumns = { taskId: 'id', poolKey: 'poolName', pin: 'pin', epoch: 'epoch', bytes: 'requestBytes' };

/** The least id of version 7 of that time: what came since is found without a look at what is older. */
const FIRST_ID_WITHIN = `(lpad(to_hex((extract(epoch from now()) * 1000 - ?)::bigint), 12, '0') || repeat('0', 20))::uuid`;

const olderThan = (db: Knex, ms: number): Knex.QueryBuilder =>
  db('tasks').whereRaw(OPEN).whereRaw(`created_at < now() - ? * interval '1 millisecond'`, [ms]);

type Pruning = 'dropBodies' | 'unfetched' | 'dropUnfetched' | 'prunable' | 'deleteEnded' | 'pruneKeys';

export function createTaskUpkeep(connection: Connection): TaskUpkeep {
  const { db } = connection;
  return {
    ...createPruning(connection),
    async openOlderThan(olderThanMs, { after, limit }) {
      const query = olderThan(db, olderThanMs).orderBy('id').limit(limit);
      if (after !== null) query.where('id', '>', after);
      return parseTasks(await query.select<unknown[]>(rowColumns));
    },
    submissionOf: (id) => submissionOf(connection, { table: 'tasks', id }),
    async openRefs(olderThanMs, { after, limit }) {
      const query = olderThan(db, olderThanMs).orderBy('id').limit(limit);
      if (after !== null) query.where('id', '>', after);
      return await query.select<OpenRef[]>(refColumns);
    },
    newestRefs: async (olderThanMs, { withinMs, limit }) =>
      await olderThan(db, olderThanMs)
        .whereRaw(`id > ${FIRST_ID_WITHIN}`, [withinMs])
        .orderBy('id', 'desc')
        .limit(limit)
        .select<OpenRef[]>(refColumns),
    async byIds(ids) {
      if (ids.length === 0) return [];
      return parseTasks(
        await db('tasks')
          .whereIn('id', [...ids])
          .select<unknown[]>(rowColumns),
      );
    },
    overdue: (page) => overdueIn(db, page),
    unentitled: (page) => unentitledIn(db, page),
    mayHaveRun: (ids) => mayHaveRunAmong(db, ids),
    async openPools() {
      const { rows } = await db.raw<{ rows: { poolName: string }[] }>(openPoolsSql);
      return rows.map((row) => row.poolName);
    },
    async newestPools({ withinMs, limit }) {
      const came = db('tasks').whereRaw(OPEN).whereRaw(`id > ${FIRST_ID_WITHIN}`, [withinMs]);
      const newest = came.orderBy('id', 'desc').limit(limit).select('poolName');
      const rows = await db.from(newest.as('newest')).distinct<{ poolName: string }[]>('poolName');
      return rows.map((row) => row.poolName);
    },
    async openAmong(ids, poolKey) {
      const wellFormed = ids.filter((id) => storedIdSchema.safeParse(id).success);
      if (wellFormed.length === 0) return new Set();
      const query = db('tasks').whereIn('id', wellFormed).whereRaw(OPEN);
      if (poolKey !== undefined) query.where('poolName', poolKey);
      const rows = await query.select<{ id: string }[]>('id');
      return new Set(rows.map((row) => row.id));
    },
  };
}

/** What is to go when its time is over. */
function createPruning({ db }: Connection): Pick<TaskUpkeep, Pruning> {
  const endedBefore = (ms: number) =>
    db('tasks').where('completedAt', '<', db.raw(`now() - ? * interval '1 millisecond'`, [ms]));
  return {
    async dropBodies(id) {
      return (await db('tasks').where({ id }).whereRaw(DROPPABLE).update(nobody)) > 0;
    },
    unfetched: (olderThanMs, limit) => endedFirst(endedBefore(olderThanMs).whereRaw(DROPPABLE), limit),
    async dropUnfetched(ids) {
      const freeRows = freeAmong(db('tasks').whereRaw(DROPPABLE), ids);
      return await db('tasks').whereIn('id', freeRows).update(nobody);
    },
    prunable: (retentionMs, limit) => endedFirst(endedBefore(retentionMs), limit),
    async deleteEnded(ids) {
      const freeRows = freeAmong(db('tasks').whereNotNull('completedAt'), ids);
      return await db('tasks').whereIn('id', freeRows).delete();
    },
    async pruneKeys(limit) {
      const { rowCount } = await db.raw<{ rowCount: number }>(
        `delete from idempotency where ctid = any(array(
           select ctid from idempotency i where expires_at < now() and not ${IS_OPEN}
           order by expires_at limit ? for update skip locked))`,
        [limit],
      );
      return rowCount;
    },
  };
}
