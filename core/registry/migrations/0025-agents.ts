import type { Knex } from 'knex';

/** An llm that an agent is pinned to is not deleted: `llm_in_use` says so, and the sweep spares it. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table agents (
      id uuid primary key,
      name text collate "C" not null unique,
      description text not null default '',
      llm_id uuid not null references llms (id) on delete restrict,
      pin_mode text not null default 'pool' check (pin_mode in ('pool', 'only')),
      project_id uuid references projects (id) on delete set null,
      visibility text not null default 'shared' check (visibility in ('shared', 'private')),
      default_params jsonb not null default '{}',
      system_prompt text not null default '',
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index agents_owner on agents (owner_id, name);
    create index agents_llm on agents (llm_id);
    create index agents_project on agents (project_id);

    alter table prompts add column agent_id uuid references agents (id) on delete cascade,
      add constraint prompts_of_one check (num_nonnulls(project_id, agent_id) <= 1);
    create index prompts_agent on prompts (agent_id, id);
    -- One of that name in a project, or of an agent; of those that are of neither, one of that name for each owner.
    drop index prompts_name;
    create unique index prompts_name on prompts (coalesce(project_id, agent_id, owner_id), name);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    delete from prompts where agent_id is not null;
    drop index if exists prompts_name;
    alter table prompts drop column if exists agent_id;
    create unique index prompts_name on prompts (coalesce(project_id, owner_id), name);
    delete from names where resource = 'agent';
    drop table if exists agents`);
}
