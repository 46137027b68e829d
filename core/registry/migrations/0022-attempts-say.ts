import type { Knex } from 'knex';

/**
 * What a backend said beside its sentence when an attempt failed: who ends the task later, of the attempts that it had, tells
 * it as well. Attempts of the last release have none.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table task_attempts add column error_reason jsonb');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table task_attempts drop column if exists error_reason');
}
