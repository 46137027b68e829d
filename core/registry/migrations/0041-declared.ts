import type { Knex } from 'knex';

/**
 * What was applied as a set, and answers of applies by the keys that they were sent under. What is managed has its id alone, in
 * whichever table that is: rows of what is gone are taken away as they are met.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table apply_sets (
      name text collate "C" primary key,
      owner_id uuid not null references users (id),
      created_at timestamptz not null default now()
    );
    create index apply_sets_owner on apply_sets (owner_id);

    create table managed (
      resource text collate "C" not null,
      resource_id text collate "C" not null,
      set_name text collate "C" not null references apply_sets (name) on delete cascade,
      -- What it was called when it was applied.
      name text not null,
      primary key (resource, resource_id)
    );
    create index managed_set on managed (set_name);

    create table apply_keys (
      owner_id uuid not null references users (id),
      key text not null,
      request_hash text not null,
      answer text not null,
      expires_at timestamptz not null,
      primary key (owner_id, key)
    );
    create index apply_keys_expires on apply_keys (expires_at);`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop table if exists apply_keys;
    drop table if exists managed;
    drop table if exists apply_sets`);
}
