import type { Knex } from 'knex';

/**
 * Why an llm takes nothing now, or sleeps, where that is its worker's doing, as a sentence of its worker: quiet hours, its owner
 * at the machine, a backend that is being started. Rows of the last release have none.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table llms add column status_reason text;');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table llms drop column if exists status_reason;');
}
