import type { Knex } from 'knex';

/** Answers that a scheduler of the release before threads has ended, without what was shown of them: few, and for a short time. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`create index chat_messages_unfilled on chat_messages (created_at)
    where status = 'complete' and not is_whole and content = '' and tool_calls is null and task_id is not null`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop index if exists chat_messages_unfilled');
}
