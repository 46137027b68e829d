import type { Knex } from 'knex';

/** What an owner has open is counted often (edge/caps.ts), and is little beside what they ever asked. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`create index tasks_owner_open on tasks (owner_id)
    where status in ('pending', 'claimed', 'running')`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop index if exists tasks_owner_open');
}
