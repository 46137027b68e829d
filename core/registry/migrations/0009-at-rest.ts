import type { Knex } from 'knex';
import { buildIndexes, dropIndexes } from '../live-indexes.ts';

/** Indexes are built beside a live table, which no transaction can do. */
export const config = { transaction: false };

/**
 * What the duties look for is little beside all that ever was: open tasks by age and by deadline.
 */
const indexes = {
  tasks_open_id: `(id) where status in ('pending', 'claimed', 'running')`,
  tasks_open_deadline: `(queue_deadline) where status in ('pending', 'claimed', 'running')`,
} as const;

/**
 * Queues in Redis that an llm has left, by deletion or for another pool: what BullMQ keeps of them is removed by this list,
 * whoever took the row away and whatever became of that process.
 */
const goneQueues = `
  create table if not exists gone_queues (
    pool_key text collate "C" not null,
    llm_id uuid not null,
    at timestamptz not null default now(),
    primary key (pool_key, llm_id)
  );
  create index if not exists gone_queues_at on gone_queues (at);
  create or replace function note_gone_queue() returns trigger language plpgsql as $note$
  begin
    if tg_op = 'DELETE' or old.pool_key is distinct from new.pool_key then
      insert into gone_queues (pool_key, llm_id) values (old.pool_key, old.id) on conflict do nothing;
    end if;
    return null;
  end
  $note$;
  drop trigger if exists note_gone_queue on llms;
  create trigger note_gone_queue after delete or update on llms for each row execute function note_gone_queue();`;

export async function up(db: Knex): Promise<void> {
  await db.raw(goneQueues);
  await buildIndexes(db, indexes);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`drop trigger if exists note_gone_queue on llms; drop function if exists note_gone_queue();
    drop table if exists gone_queues;`);
  await dropIndexes(db, indexes);
}
