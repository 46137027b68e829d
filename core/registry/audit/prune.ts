import type { Connection } from '../database/connect.ts';

export interface Kept {
  /** What is older goes. */
  keepMs: number;
  /** Of one actor so many stay, the newest: whoever makes many pushes out their own, and nobody else's. */
  mostOfActor: number;
  /** In one statement. */
  limit: number;
}

const aged = `
  with gone as (delete from audit where id in (
    select id from audit where at < now() - :keepMs * interval '1 millisecond' order by at limit :limit) returning 1)
  select null as "actorId", count(*)::int as count from gone`;

/** Refusals of nobody known are one actor's too. */
const crowded = `
  with many as (
    select actor_id, count(*) - :mostOfActor as over from audit group by actor_id having count(*) > :mostOfActor limit 10),
  gone as (delete from audit where id in (
    select old.id from many cross join lateral (
      select id from audit a where a.actor_id is not distinct from many.actor_id
      order by id limit least(many.over, :limit)) old) returning actor_id)
  select actor_id as "actorId", count(*)::int as count from gone group by actor_id`;

/** Deletes, and leaves a row that says how many, so that a deletion is on record too. */
export function prune(
  { transaction }: Pick<Connection, 'transaction'>,
  { keepMs, mostOfActor, limit }: Kept,
): Promise<number> {
  return transaction(async (trx) => {
    let pruned = 0;
    for (const [why, sql] of [
      ['age', aged],
      ['crowd', crowded],
    ] as const) {
      const { rows } = await trx.raw<{ rows: { actorId: string | null; count: number }[] }>(sql, {
        keepMs,
        mostOfActor,
        limit,
      });
      for (const { actorId, count } of rows) {
        if (count === 0) continue;
        pruned += count;
        const changes = JSON.stringify([{ field: 'pruned', to: { why, count, actorId } }]);
        await trx('audit').insert({ verb: 'delete', resource: 'audit', changes, count });
      }
    }
    return pruned;
  });
}
