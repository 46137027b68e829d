import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table projects (
      id uuid primary key,
      name text collate "C" not null unique,
      description text not null default '',
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index projects_owner on projects (owner_id, name);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists projects');
}
