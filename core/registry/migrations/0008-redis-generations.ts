import type { Knex } from 'knex';

/** How far leaders have counted in Redis (core/queue/generation.ts): what holds less has gone back, whoever leads then. */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table if not exists redis_generations (
      namespace text primary key,
      count bigint not null,
      noted_at timestamptz not null default now()
    );`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists redis_generations;');
}
