import type { Knex } from 'knex';

/**
 * How a token begins, which is what people know one by, and when it was used last. Of those that are there already nobody can say how they begin.
 * No index has either: to write a use down costs the row alone.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table tokens add column prefix text, add column last_used_at timestamptz');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table tokens drop column if exists prefix, drop column if exists last_used_at');
}
