import type { Knex } from 'knex';

/**
 * What a backend said of a refusal beside its sentence: its own code, the type, and the parameter that it is about. The
 * body that says so too may be dropped; a row of the last release has none.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table tasks add column error_reason jsonb;');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table tasks drop column if exists error_reason;');
}
