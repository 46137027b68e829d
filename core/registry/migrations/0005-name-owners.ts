import type { Knex } from 'knex';

/**
 * Whose each name is, be it an llm's, an alias, or a pool's key (decision 0014). Of what stands already the first
 * has it; a pool that nobody is in counts last, as nobody could mean it. What an edge of the last release enters
 * meanwhile, the sweep adds.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table name_owners (
      name text collate "C" primary key,
      owner_id uuid not null references users (id),
      entered_by uuid not null references users (id),  -- whose quota it counts for; never changes by a hand-over
      created_at timestamptz not null default now(),
      released_at timestamptz                          -- since when nothing is called so; kept for the owner
    );
    create index name_owners_entered_by on name_owners (entered_by);
    create index name_owners_released on name_owners (released_at) where released_at is not null;
    create index sessions_owner on sessions (owner_id);
    insert into name_owners (name, owner_id, entered_by, created_at)
      select distinct on (name) name, owner_id, owner_id, created_at from (
        select key as name, owner_id, created_at,
          case when exists (select 1 from llms where llms.pool_key = pools.key) then 1 else 9 end as rank
          from pools
        union all select name, owner_id, created_at, 2 from llms
        union all select unnest(aliases), owner_id, created_at, 3 from llms
      ) used order by name, rank = 9, created_at, rank;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists name_owners; drop index if exists sessions_owner;');
}
