import type { Knex } from 'knex';

/**
 * Whose project a title was kept for: each owner has so many, and where there are too many in all, who has most gives way. What stands was
 * kept for nobody in particular and is found out anew; what an edge of the last release keeps meanwhile is nobody's.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    delete from page_titles;
    alter table page_titles add column owner_id uuid references users (id) on delete cascade;
    create index page_titles_of on page_titles (owner_id, made_at)`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('alter table page_titles drop column if exists owner_id');
}
