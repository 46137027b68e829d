import type { Knex } from 'knex';

/**
 * Of which project's tools a turn was made, and in which project each of its calls was begun: an agent may be moved meanwhile. Null: an edge
 * of the last release wrote it, and it is the project that the agent is in. No key of projects: what is gone is not to be taken for that.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table chat_turns add column tools_project_id uuid;
    alter table chat_calls add column project_id uuid`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table chat_calls drop column if exists project_id;
    alter table chat_turns drop column if exists tools_project_id`);
}
