import type { Knex } from 'knex';

/**
 * Which token made a token: it ends with that one. Of those that are there already nobody wrote it down; they stay as
 * they are. A row of an older edge has none either: it lives no longer than the token that made it, as before.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table tokens add column parent_id uuid references tokens (id) on delete set null;
    create index tokens_parent on tokens (parent_id) where parent_id is not null;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table tokens drop column if exists parent_id');
}
