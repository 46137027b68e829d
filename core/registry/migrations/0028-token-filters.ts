import type { Knex } from 'knex';

/**
 * What a token lets through of what its user may. A token of before, and one that an edge of the last release makes, lets
 * through everything, as its maker meant it; that release asks none of these.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table tokens
      add column preset text not null default 'full',
      add column bindings jsonb not null default '[]',     -- [{ role, resource, name? }]: of the preset, these alone
      add column operations jsonb not null default '[]'`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table tokens drop column preset, drop column bindings, drop column operations');
}
