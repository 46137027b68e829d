import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table prompts (
      id uuid primary key,
      name text collate "C" not null,
      project_id uuid references projects (id) on delete cascade,
      priority int not null default 500 check (priority between 0 and 1000),
      content text not null,
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    -- One of that name in a project; of those that are of none, one of that name for each owner.
    create unique index prompts_name on prompts (coalesce(project_id, owner_id), name);
    create index prompts_project on prompts (project_id, id);
    create index prompts_owner on prompts (owner_id, id);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists prompts');
}
