import type { Knex } from 'knex';

/**
 * What Redis may not be asked to prove: browser sessions of the admin pages, and the password of each provider session's
 * own Redis user.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table if not exists admin_sessions (
      hash text primary key,                 -- SHA-256 of the cookie in hex
      token_id uuid not null,                -- one whose token has gone stands for nobody, and is swept
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    );
    create index if not exists admin_sessions_token on admin_sessions (token_id, created_at);
    create index if not exists admin_sessions_expires on admin_sessions (expires_at);
    alter table sessions
      add column redis_hash text,            -- SHA-256 of its password in hex; null = it has no Redis user
      add column redis_left_pools text[],    -- pools whose tasks it may still run to their end
      add column redis_left_at timestamptz;  -- since when
  `);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`drop table admin_sessions;
    alter table sessions drop column redis_hash, drop column redis_left_pools, drop column redis_left_at;`);
}
