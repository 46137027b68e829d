import type { Knex } from 'knex';

/** Whose a name was that is kept back: whoever is called otherwise now may take it up again, and who asks for it is told. */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table retired_names add column renamed_id uuid');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table retired_names drop column if exists renamed_id');
}
