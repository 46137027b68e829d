import type { Knex } from 'knex';

/**
 * What is checked of a task's operation and source is checked of new rows alone, as the old ones were checked before: the
 * table is not read through.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table servers (
      id uuid primary key,
      name text collate "C" not null unique,
      description text not null default '',
      tools jsonb not null default '[]',
      info jsonb,
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index servers_owner on servers (owner_id, name);

    -- Which machine's journal knows what became of a server's calls.
    create table server_journals (
      server_id uuid primary key references servers (id) on delete cascade,
      journal text not null
    );

    -- What a server's worker has told of it; first seen is what keeps a name that two tools would have.
    create table server_tools (
      server_id uuid not null references servers (id) on delete cascade,
      name text collate "C" not null,
      definition text not null,
      hash text not null,
      position int not null,
      first_seen_at timestamptz not null default now(),
      gone boolean not null default false,
      primary key (server_id, name)
    );

    -- One row, made with the first session: what their ids are signed with, at every edge alike.
    create table mcp_session_keys (
      one boolean primary key default true check (one),
      key text not null default gen_random_uuid()::text || gen_random_uuid()::text
    );

    alter table projects add column servers jsonb not null default '[]';

    alter table tasks drop constraint tasks_operation_check, drop constraint tasks_source_check;
    alter table tasks
      add constraint tasks_operation_check check
        (operation in ('chat', 'completions', 'embeddings', 'responses', 'messages', 'mcp')) not valid,
      add constraint tasks_source_check check
        (source in ('infer', 'v1', 'async', 'agent', 'batch', 'mcp')) not valid;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    delete from tasks where operation = 'mcp' or source = 'mcp';
    alter table tasks drop constraint tasks_operation_check, drop constraint tasks_source_check;
    alter table tasks
      add constraint tasks_operation_check check
        (operation in ('chat', 'completions', 'embeddings', 'responses', 'messages')) not valid,
      add constraint tasks_source_check check (source in ('infer', 'v1', 'async', 'agent', 'batch')) not valid;
    alter table projects drop column if exists servers;
    drop table if exists mcp_session_keys;
    drop table if exists server_tools;
    drop table if exists server_journals;
    drop table if exists servers`);
}
