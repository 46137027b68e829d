import type { Knex } from 'knex';

/** What becomes of results on their way to who called, by the project; and what its llm has called their pages. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table projects add column pipeline jsonb not null default '{}';

    create table page_titles (
      key text primary key,
      title text not null,
      made_at timestamptz not null default now()
    );
    create index page_titles_made_at on page_titles (made_at);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop table if exists page_titles;
    alter table projects drop column if exists pipeline`);
}
