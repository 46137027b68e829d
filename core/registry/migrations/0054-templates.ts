import type { Knex } from 'knex';

/** What comes with a release, as `release` has read it from `templates/`: nobody's, and written by nothing else. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table templates (
      name text collate "C" primary key,
      definition jsonb not null,
      sha256 text not null,
      status text not null default 'active' check (status in ('active', 'retired')),
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists templates');
}
