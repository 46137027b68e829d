import type { Connection } from '../database/connect.ts';

export interface Kept {
  /** What is older goes. */
  keepMs: number;
  /** Of one actor so many stay, the newest: whoever makes many pushes out their own, and nobody else's. */
  mostOfActor: number;
  /** So many of each kind are looked for. */
  limit: number;
}

/** An event that is kept no longer, and why. */
export interface Outlived {
  id: string;
  why: 'age' | 'crowd';
}

const aged = `
  select id from audit where at < now() - :keepMs * interval '1 millisecond' order by at limit :limit`;

/** Refusals of nobody known are one actor's too. */
const crowded = `
  with many as (
    select actor_id, count(*) - :mostOfActor as over from audit group by actor_id having count(*) > :mostOfActor limit 10)
  select old.id from many cross join lateral (
    select id from audit a where a.actor_id is not distinct from many.actor_id
    order by id limit least(many.over, :limit)) old`;

/** Those that are kept no longer, the oldest first. */
export async function prunable({ db }: Pick<Connection, 'db'>, kept: Kept): Promise<Outlived[]> {
  const events = new Map<string, Outlived>();
  for (const [why, sql] of [
    ['crowd', crowded],
    ['age', aged],
  ] as const) {
    const { rows } = await db.raw<{ rows: { id: string }[] }>(sql, { ...kept });
    for (const { id } of rows) events.set(id, { id, why });
  }
  return [...events.values()];
}

const deleted = `
  with gone as (delete from audit where id = any(array(
    select id from audit where id = any(cast(:ids as bigint[])) for update skip locked)) returning actor_id)
  select actor_id as "actorId", count(*)::int as count from gone group by actor_id`;

/** Deletes, past what somebody holds, and leaves a row that says how many, so that a deletion is on record too. */
export function prune(
  { transaction }: Pick<Connection, 'transaction'>,
  events: readonly Outlived[],
): Promise<number> {
  return transaction(async (trx) => {
    let pruned = 0;
    for (const why of ['age', 'crowd'] as const) {
      const ids = events.filter((event) => event.why === why).map(({ id }) => id);
      if (ids.length === 0) continue;
      const { rows } = await trx.raw<{ rows: { actorId: string | null; count: number }[] }>(deleted, { ids });
      const count = rows.reduce((sum, row) => sum + row.count, 0);
      pruned += count;
      // Of what is old it is said in one how many: it is everybody's.
      const records = why === 'crowd' ? rows : count > 0 ? [{ actorId: null, count }] : [];
      for (const { actorId, count: ofActor } of records) {
        const changes = JSON.stringify([{ field: 'pruned', to: { why, count: ofActor, actorId } }]);
        await trx('audit').insert({ verb: 'delete', resource: 'audit', changes, count: ofActor });
      }
    }
    return pruned;
  });
}
