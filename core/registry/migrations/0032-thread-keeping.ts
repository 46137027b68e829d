import type { Knex } from 'knex';

/** Titles and pins that people set, and what turns that ended long ago keep no longer. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table chat_threads add column pinned boolean not null default false, add column expires_at timestamptz;
    create index chat_threads_expires on chat_threads (expires_at) where expires_at is not null;
    create index chat_threads_last on chat_threads (last_turn_at);
    alter table chat_turns add column body_dropped boolean not null default false;
    create index chat_turns_bodies on chat_turns (ended_at) where ended_at is not null and not body_dropped;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop index if exists chat_turns_bodies, chat_threads_last, chat_threads_expires;
    alter table chat_turns drop column if exists body_dropped;
    alter table chat_threads drop column if exists pinned, drop column if exists expires_at`);
}
