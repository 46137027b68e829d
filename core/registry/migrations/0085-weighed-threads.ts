import type { Knex } from 'knex';

/**
 * What was said in threads is bounded, of each user and in all: the weight of each is in its row, so that those of a user are summed along
 * an index, and those of all are a row that the scheduler writes. What was answered since a thread was weighed is weighed by it, too.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create index chat_threads_weight on chat_threads (owner_id) include (weighed_bytes) where not is_passing;
    create index chat_threads_unweighed on chat_threads (last_turn_at) where weighed_to < next_message and not is_passing;
    create table thread_totals (
      id boolean primary key default true check (id),
      threads int not null,
      bytes bigint not null
    )`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop table if exists thread_totals;
    drop index if exists chat_threads_weight, chat_threads_unweighed`);
}
