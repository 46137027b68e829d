import type { Knex } from 'knex';

/** What MCP servers have beside tools: their prompts, resources, and templates of resources by their URI; and how a project names things. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table server_offers (
      server_id uuid not null references servers (id) on delete cascade,
      kind text not null check (kind in ('prompt', 'resource', 'template')),
      name text collate "C" not null,
      definition text not null,
      position int not null,
      first_seen_at timestamptz not null default now(),
      gone boolean not null default false,
      primary key (server_id, kind, name)
    );

    alter table projects
      add column prefix text not null default 'always' check (prefix in ('always', 'never'));`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table projects drop column if exists prefix;
    drop table if exists server_offers`);
}
