import type { Knex } from 'knex';

/**
 * Agents that workers publish: those that have a row here are virtual. Whether the publisher is there follows from its session;
 * `gone_since` is the sweep's own mark, and counts only while the session has not beaten since.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table agent_publishers (
      agent_id uuid primary key references agents (id) on delete cascade,
      session_id uuid references sessions (id) on delete set null,
      published_at timestamptz not null default now(),
      unpublished_at timestamptz,
      gone_since timestamptz
    );
    create index agent_publishers_session on agent_publishers (session_id);
    create table published_prompts (prompt_id uuid primary key references prompts (id) on delete cascade);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists published_prompts, agent_publishers');
}
