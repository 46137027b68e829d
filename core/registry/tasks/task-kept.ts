import { NIL } from 'uuid';
import type { Connection } from '../database/connect.ts';
import { endedFirst, freeAmong, freeIds } from './task-rows.ts';

/** What ended tasks keep: requests and results at rest. */
export interface TaskKept {
  /** Tasks that ended before the weight was written with the end, past those that somebody holds. */
  unweighed(limit: number): Promise<string[]>;
  /** Weighs them. @returns how many. */
  weighKept(ids: readonly string[]): Promise<number>;
  /** What each owner's ended tasks weigh together, in bytes; owners who keep nothing are not in it. */
  keptBytes(): Promise<Map<string, number>>;
  /**
   * Forgets both bodies of an owner's ended tasks, the oldest first, until those that are left weigh no more than
   * `mostBytes`: some at a time, past those that somebody holds. The rows stay. @returns how many; 0 when it is done.
   */
  forgetKept(ownerId: string, mostBytes: number): Promise<number>;
  /** How many tasks each user has, by how many there may be in all: nobody is counted while there are far fewer. */
  countedOf(mostInAll: number): Promise<Map<string, number>>;
  /** The first of a user's tasks that ended longer ago than this, past those that somebody holds. */
  oldestOf(ownerId: string, endedMs: number, limit: number): Promise<string[]>;
  /** Tasks that ended between so long ago and so long ago, the oldest first, in pages by when. */
  endedWithin(
    span: { fromMs: number; toMs: number },
    page: { after: Pick<EndedTask, 'id' | 'at'> | null; limit: number },
  ): Promise<EndedTask[]>;
}

export interface EndedTask {
  id: string;
  poolName: string;
  ownerId: string;
  /** When it ended, as Postgres writes it. */
  at: string;
}

/** So many in one statement, and no more bytes than this beyond the first: rows are held, and each 2 kB is a write. */
const TOGETHER = 250;
const TOGETHER_BYTES = 64 * 1024 * 1024;

/** `kept_bytes > 0`: the same words as the partial index `tasks_kept`, or it is not used. An open task has no weight. */
const forgetSql = `
  with over as (select sum(kept_bytes) - :mostBytes::bigint as bytes from tasks
    where owner_id = :ownerId and kept_bytes > 0),
  oldest as (select id, kept_bytes, completed_at from tasks
    where owner_id = :ownerId and kept_bytes > 0 and (select bytes > 0 from over)
    order by completed_at limit ${TOGETHER} for update skip locked),
  summed as (select id, sum(kept_bytes) over (order by completed_at, id) - kept_bytes as before from oldest)
  update tasks set request_body = null, response_body = null
  from summed, over
  where tasks.id = summed.id and summed.before < least(over.bytes, ${TOGETHER_BYTES})`;

/** So many are counted by one statement, which none needs more than a fraction of its time for. */
const COUNTED_AT_ONCE = 250_000;

/**
 * Who has tasks, along the index `tasks_owner`: what it costs goes by the number of users. Nobody is told of while the
 * planner's estimate of all rows, which autovacuum keeps within a tenth, is less than half of what there may be.
 */
const ownersSql = `
  with recursive owners as (
    (select owner_id from tasks
      where (select reltuples < 0 or reltuples > :mostInAll::float8 / 2 from pg_class where oid = 'tasks'::regclass)
      order by owner_id limit 1)
    union all
    select (select t.owner_id from tasks t where t.owner_id > owners.owner_id order by t.owner_id limit 1)
    from owners where owners.owner_id is not null)
  select owner_id from owners where owner_id is not null`;

async function countOf({ db }: Connection, ownerId: string): Promise<number> {
  let [count, after]: [number, string] = [0, NIL];
  for (;;) {
    const rest = () => db('tasks').where({ ownerId }).where('id', '>', after);
    const last = await rest()
      .orderBy('id')
      .offset(COUNTED_AT_ONCE - 1)
      .first<{ id: string } | undefined>('id');
    if (!last) {
      const [few] = await rest().count<{ count: string }[]>();
      return count + Number(few?.count);
    }
    count += COUNTED_AT_ONCE;
    after = last.id;
  }
}

export function createTaskKept(connection: Connection): TaskKept {
  const { db } = connection;
  const weightless = () => db('tasks').whereRaw('completed_at is not null and kept_bytes is null');
  return {
    unweighed: (limit) => endedFirst(weightless(), limit),
    async weighKept(ids) {
      const freeRows = freeAmong(weightless(), ids);
      // The trigger `weigh_task` takes 0 for no weight, and writes it.
      return await db('tasks').whereIn('id', freeRows).update({ keptBytes: 0 });
    },
    async keptBytes() {
      const { rows } = await db.raw<{ rows: { ownerId: string; bytes: string }[] }>(
        `select owner_id, sum(kept_bytes) as bytes from tasks where kept_bytes > 0 group by owner_id`,
      );
      return new Map(rows.map(({ ownerId, bytes }) => [ownerId, Number(bytes)]));
    },
    async forgetKept(ownerId, mostBytes) {
      const { rowCount } = await db.raw<{ rowCount: number }>(forgetSql, { ownerId, mostBytes });
      return rowCount;
    },
    async countedOf(mostInAll) {
      const { rows } = await db.raw<{ rows: { ownerId: string }[] }>(ownersSql, { mostInAll });
      const counts = new Map<string, number>();
      for (const { ownerId } of rows) counts.set(ownerId, await countOf(connection, ownerId));
      return counts;
    },
    async oldestOf(ownerId, endedMs, limit) {
      const ended = db('tasks')
        .where({ ownerId })
        .where('completedAt', '<', db.raw(`now() - ? * interval '1 millisecond'`, [endedMs]));
      return await freeIds(ended.orderBy('id').limit(limit));
    },
    async endedWithin({ fromMs, toMs }, { after, limit }) {
      const before = `now() - ? * interval '1 millisecond'`;
      const query = db('tasks')
        .whereRaw(`completed_at between ${before} and ${before}`, [fromMs, toMs])
        .orderBy([{ column: 'completedAt' }, { column: 'id' }])
        .limit(limit);
      if (after !== null)
        query.whereRaw('(completed_at, id) > (?::timestamptz, ?::uuid)', [after.at, after.id]);
      return await query.select<EndedTask[]>('id', 'poolName', 'ownerId', db.raw('completed_at::text as at'));
    },
  };
}
