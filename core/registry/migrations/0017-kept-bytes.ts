import type { Knex } from 'knex';
import { buildIndexes, dropIndexes } from '../live-indexes.ts';

/** Indexes are built beside a live table, which no transaction can do. */
export const config = { transaction: false };

const indexes = {
  tasks_kept: `(owner_id, completed_at) include (kept_bytes) where kept_bytes > 0`,
  tasks_unweighed: `(completed_at) where completed_at is not null and kept_bytes is null`,
} as const;

/**
 * What an ended task's bodies weigh. A trigger writes it with whatever ends a task or drops its bodies, so that edges of
 * the last release do too; lengths are told without reading the bodies. Null: open, or ended before this and not weighed
 * yet, which the duty `forget` does some at a time.
 */
const weighing = `
  alter table tasks add column if not exists kept_bytes bigint;
  create or replace function weigh_task() returns trigger language plpgsql as $weigh$
  begin
    new.kept_bytes := coalesce(octet_length(new.request_body), 0)::bigint
      + coalesce(octet_length(new.response_body), 0);
    return new;
  end
  $weigh$;
  drop trigger if exists weigh_task on tasks;
  create trigger weigh_task before update on tasks for each row
    when (new.completed_at is not null) execute function weigh_task();`;

export async function up(db: Knex): Promise<void> {
  await db.raw(weighing);
  await buildIndexes(db, indexes);
}

export async function down(db: Knex): Promise<void> {
  await dropIndexes(db, indexes);
  await db.raw(`drop trigger if exists weigh_task on tasks; drop function if exists weigh_task();
    alter table tasks drop column if exists kept_bytes;`);
}
