import type { Knex } from 'knex';

/** Bodies that are to be dropped (`retention = 'none'`) are few among all that are kept. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create index tasks_unfetched on tasks (completed_at)
      where retention = 'none' and completed_at is not null
        and (request_body is not null or response_body is not null);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop index if exists tasks_unfetched;');
}
