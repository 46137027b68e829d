import type { Knex } from 'knex';

/**
 * Programs that wait to be given a token (`mcpctl login --web`), for ten minutes. Both halves stand here: who writes to Redis
 * could else put a program of their own behind the code that somebody is about to type.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table device_logins (
      hash text primary key,                    -- SHA-256 of what the program alone knows
      user_code text not null unique,
      machine text not null,
      address text not null,
      address_key text not null,                -- what counts as one address
      preset text not null,
      days int not null,
      expires_at timestamptz not null,
      interval_s int not null,
      polled_at timestamptz,
      approved_by uuid references tokens (id) on delete cascade,
      denied boolean not null default false
    );
    create index device_logins_address on device_logins (address_key);

    create table device_guesses (
      user_id uuid primary key references users (id) on delete cascade,
      tries int not null,
      since timestamptz not null
    )`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists device_logins, device_guesses');
}
