import type { Knex } from 'knex';

/**
 * What the server says of a session, past its worker: that it takes nothing new (`hold`), or is over for good (`revoked_at`).
 * The llms of a session say the hold too, so that whoever reads them asks no second table. `host` is what the worker said.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table sessions
      add column host text,
      add column hold text check (hold in ('paused', 'draining')),
      add column held_by text,
      add column held_at timestamptz,
      add column revoked_at timestamptz;
    create index sessions_revoked on sessions (owner_id, revoked_at) where revoked_at is not null;
    alter table llms add column hold text check (hold in ('paused', 'draining'));
    create index llms_hold on llms (pool_key) where hold is not null;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop index if exists llms_hold;
    alter table llms drop column if exists hold;
    drop index if exists sessions_revoked;
    alter table sessions
      drop column if exists revoked_at,
      drop column if exists held_at,
      drop column if exists held_by,
      drop column if exists hold,
      drop column if exists host;`);
}
