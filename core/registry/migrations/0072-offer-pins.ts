import type { Knex } from 'knex';

/**
 * What projects have approved of what their servers have beside tools. A hash is made by the database, so that none is of what another
 * release has written since; a resource's size and the time of its last change are no part of it. What is bound already is trusted as it is now.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table server_offers add column hash text not null generated always as (
      encode(sha256(replace(
        ((definition::jsonb - 'size') #- '{annotations,lastModified}')::text, '\\', '\\\\')::bytea), 'hex')
    ) stored;

    -- Whether it is written down, too, what that server had beside tools.
    alter table server_pins add column has_offers boolean not null default false;
    create index server_pins_no_offers on server_pins (server) where not has_offers;

    create table offer_pins (
      project_id uuid not null,
      server text collate "C" not null,
      kind text not null check (kind in ('prompt', 'resource', 'template')),
      name text collate "C" not null,
      hash text not null,
      definition text not null,
      -- Null: it was there when the project got the server.
      approved_by uuid references users (id) on delete set null,
      approved_at timestamptz not null default now(),
      primary key (project_id, server, kind, name),
      foreign key (project_id, server) references server_pins (project_id, server) on delete cascade
    );
    create index offer_pins_approved_by on offer_pins (approved_by) where approved_by is not null;

    with fresh as (
      update server_pins b set has_offers = true from servers s where s.name = b.server
      returning b.project_id, b.server, s.id as server_id
    )
    insert into offer_pins (project_id, server, kind, name, hash, definition)
    select f.project_id, f.server, o.kind, o.name, o.hash, o.definition
    from fresh f join server_offers o on o.server_id = f.server_id where not o.gone;

    -- All that a server has, and all of it that projects have approved.
    create view server_things as
      select server_id, 'tool'::text as kind, name, hash, definition, is_too_large, gone from server_tools
      union all
      select server_id, kind, name, hash, definition, false, gone from server_offers;
    create view thing_pins as
      select project_id, server, 'tool'::text as kind, name, hash, definition from tool_pins
      union all
      select project_id, server, kind, name, hash, definition from offer_pins;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop view if exists thing_pins;
    drop view if exists server_things;
    drop table if exists offer_pins;
    drop index if exists server_pins_no_offers;
    alter table server_pins drop column if exists has_offers;
    alter table server_offers drop column if exists hash`);
}
