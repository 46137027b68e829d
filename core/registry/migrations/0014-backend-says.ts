import type { Knex } from 'knex';

/**
 * What backends say beside an answer. Of a refusal: its own code, the type, the parameter that it is about, also where the
 * body that says so is dropped. Of what its owner has configured for an llm: why it is refused. Rows of the last release have
 * neither.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table tasks add column error_reason jsonb;
    alter table llms add column misconfigured text;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table tasks drop column if exists error_reason;
    alter table llms drop column if exists misconfigured;`);
}
