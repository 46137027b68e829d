import type { Knex } from 'knex';

/**
 * Which token a provider session stands on, and a reason for rows whose session may not be there any more (decision
 * 0015). A session that was registered by an edge of the last release has no token until its next heartbeat.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table sessions add column if not exists token_id uuid;
    create index if not exists sessions_token on sessions (token_id) where left_at is null;
    alter table llms drop constraint if exists llms_inactive_reason_check;
    alter table llms add constraint llms_inactive_reason_check
      check (inactive_reason in ('publisher_gone', 'backend_down', 'unpublished', 'denied')) not valid;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    update llms set inactive_reason = 'publisher_gone' where inactive_reason = 'denied';
    alter table llms drop constraint if exists llms_inactive_reason_check;
    alter table llms add constraint llms_inactive_reason_check
      check (inactive_reason in ('publisher_gone', 'backend_down', 'unpublished'));
    drop index if exists sessions_token;
    alter table sessions drop column if exists token_id;`);
}
