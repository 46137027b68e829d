import type { Knex } from 'knex';

/** What of a project's prompts is told to whom: by what they are about, and where their text is elsewhere. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table prompts
      add column tags jsonb not null default '[]',
      add column summary text not null default '',
      add column link jsonb;

    alter table projects
      add column gate text not null default 'off' check (gate in ('off', 'brief', 'require', 'hide')),
      add column llm text`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table projects drop column if exists gate, drop column if exists llm;
    delete from prompts where link is not null and link <> 'null';
    alter table prompts drop column if exists tags, drop column if exists summary, drop column if exists link`);
}
