import type { Knex } from 'knex';

/**
 * A call of an agent outside of any thread, whose calls of tools the server runs, is the one turn of a thread that nobody sees
 * (decision 0083). Lists have an index without these: of one user there may be thousands of a day. Its client knows no id of it: what it
 * was asked with, and later what its client has gone on with, are hashes of the conversation.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table chat_threads add column is_passing boolean not null default false, add column conversations text[];
    create index chat_threads_listed on chat_threads (owner_id, last_turn_at desc, id desc) where not is_passing;
    create index chat_threads_passing on chat_threads using gin (conversations) where is_passing`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop index if exists chat_threads_listed, chat_threads_passing;
    delete from chat_threads where is_passing;
    alter table chat_threads drop column if exists is_passing, drop column if exists conversations`);
}
