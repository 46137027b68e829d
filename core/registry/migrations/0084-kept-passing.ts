import type { Knex } from 'knex';

/**
 * Calls that pass (decision 0083) are weighed: of each user those that have ended, and those that wait for results. One under a key of which
 * nothing is to be kept says so, as it stays longer than what was said in it.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table chat_threads add column is_brief boolean not null default false;
    create index chat_threads_passing_of on chat_threads (owner_id, last_turn_at, id) where is_passing;
    create index chat_threads_brief on chat_threads (id) where is_brief;
    create index chat_turns_waiting_of on chat_turns (owner_id) where status = 'waiting'`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop index if exists chat_threads_passing_of, chat_threads_brief, chat_turns_waiting_of;
    alter table chat_threads drop column if exists is_brief`);
}
