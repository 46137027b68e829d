import type { Knex } from 'knex';

/**
 * Secrets: what people see of one, its sealed versions, and which llm refers to it. `secret_refs` says what somebody was
 * allowed to refer to: a row of llms that names a secret, and is not here, gets none.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    -- Bound into everything that is sealed: what is copied into another installation does not open there.
    create table installation (
      one boolean primary key default true check (one),
      id uuid not null default gen_random_uuid()
    );
    insert into installation default values;

    create table secrets (
      id uuid primary key,
      name text collate "C" not null unique,
      description text not null default '',
      allowed_origins jsonb not null default '[]',
      origin text,                              -- of the first llm that referred to it; where no others are allowed
      version int not null default 0,           -- the current one
      keys jsonb not null default '[]',         -- [{ name, bytes }] of the current version
      owner_id uuid references users (id) on delete set null,
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index secrets_owner on secrets (owner_id, name);

    create table secret_keys (
      kid text primary key,
      check_value text not null,
      created_at timestamptz not null default now()
    );

    create table secret_versions (
      secret_id uuid not null references secrets (id) on delete cascade,
      version int not null,
      kid text not null references secret_keys (kid),
      wrapped_dek text not null,
      items jsonb not null,                     -- { key: { bytes, sealed } }
      created_by uuid references users (id) on delete set null,
      created_at timestamptz not null default now(),
      primary key (secret_id, version)
    );
    create index secret_versions_kid on secret_versions (kid);

    create table secret_refs (
      llm_id uuid primary key references llms (id) on delete cascade,
      secret_id uuid not null references secrets (id) on delete restrict,
      key text not null,
      allowed_by uuid references users (id) on delete set null,
      created_at timestamptz not null default now()
    );
    create index secret_refs_secret on secret_refs (secret_id);

    alter table retired_names add column former_owner_id uuid;  -- who may take it up again`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    alter table retired_names drop column if exists former_owner_id;
    drop table if exists secret_refs, secret_versions, secret_keys, secrets, installation`);
}
