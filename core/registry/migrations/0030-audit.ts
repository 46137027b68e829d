import type { Knex } from 'knex';

/**
 * What was written, by whom. Rows refer to nothing: they outlive whom and what they tell of. The one index by actor is also
 * what keeps one user's many apart from the others' few (core/registry/audit/audits.ts).
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table audit (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      request_id text,
      actor_id uuid,
      actor_name text,
      as_id uuid,
      as_name text,
      token_id uuid,
      token_name text,
      ip text,
      verb text not null,
      resource text not null,
      object_id text,
      object_name text,
      owner_id uuid,
      outcome text not null default 'ok',
      changes jsonb not null default '[]',
      dry_run boolean not null default false,
      count int not null default 1
    );
    create index audit_actor on audit (actor_id, id);
    create index audit_as on audit (as_id, id) where as_id is not null;
    create index audit_owner on audit (owner_id, id) where owner_id is not null;
    create index audit_object on audit (resource, object_name, id);
    create index audit_refused on audit (id) where outcome <> 'ok';
    create index audit_at on audit (at)`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw('drop table if exists audit');
}
