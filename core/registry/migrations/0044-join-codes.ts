import type { Knex } from 'knex';

/**
 * What a machine exchanges, once, for a worker's credential (`mcpctl worker invite`). A code stays for a day after it is over,
 * so that whoever comes with it hears when it was used. `tokens.of_worker` is such a credential: it ends with its session.
 * A login of a program that names pools is one of a worker; its preset is `worker`, which the release before does not read.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table join_codes (
      hash text primary key,                    -- SHA-256 of the code
      owner_id uuid not null references users (id) on delete cascade,
      token_id uuid not null references tokens (id) on delete cascade,
      holder_id uuid not null references users (id) on delete cascade,
      name text,
      pools text[] not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      used_at timestamptz,
      used_by text
    );
    create index join_codes_owner on join_codes (owner_id, expires_at);
    alter table tokens add column of_worker boolean not null default false;
    alter table device_logins add column pools text[];`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table device_logins drop column if exists pools;
    alter table tokens drop column if exists of_worker;
    drop table if exists join_codes`);
}
