import type { Knex } from 'knex';

/** Which llms of a session share one backend, and with it one count of slots: the relay takes tasks for them. */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table llms add column slot_group text;');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table llms drop column slot_group;');
}
