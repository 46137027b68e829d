import type { Knex } from 'knex';

/**
 * What an open task's body weighs, beside it: bytes at rest are summed (edge/caps.ts) from the rows that are counted
 * anyway, without opening a body. An edge of the last release enters 0 meanwhile, as do tasks that ended before this.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table tasks add column request_bytes integer not null default 0;
    update tasks set request_bytes = octet_length(request_body)
      where status in ('pending', 'claimed', 'running') and request_body is not null;
    create index tasks_large_open on tasks (request_bytes)
      where status in ('pending', 'claimed', 'running') and request_bytes > 32768;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table tasks drop column if exists request_bytes;');
}
