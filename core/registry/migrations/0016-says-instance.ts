import type { Knex } from 'knex';

/**
 * Whether each call of a session's worker says which process it is. A worker of the last release says it at its
 * registration and its stream alone; an edge of the last release writes nothing here, so its sessions count as such.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw('alter table sessions add column says_instance boolean not null default false');
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table sessions drop column if exists says_instance');
}
