import type { Knex } from 'knex';

/**
 * An agent's default personality is one of its own, by its name, and null once that is deleted. That it is there is asked at
 * the end of a transaction, so that both may be made in one, in any order.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table personalities (
      id uuid primary key,
      name text collate "C" not null,
      agent_id uuid not null references agents (id) on delete cascade,
      description text not null default '',
      priority int not null default 0,
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      unique (agent_id, name)
    );
    create index personalities_owner on personalities (owner_id, id);

    create table personality_prompts (
      personality_id uuid not null references personalities (id) on delete cascade deferrable initially deferred,
      prompt_id uuid not null references prompts (id) on delete cascade,
      priority int check (priority between 0 and 1000),
      place int not null,
      primary key (personality_id, prompt_id)
    );
    create index personality_prompts_prompt on personality_prompts (prompt_id);

    alter table agents add column default_personality text collate "C",
      add constraint agents_default_personality foreign key (id, default_personality)
        references personalities (agent_id, name) on delete set null (default_personality) deferrable initially deferred;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table agents drop column if exists default_personality;
    drop table if exists personality_prompts, personalities`);
}
