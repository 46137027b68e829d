import type { Knex } from 'knex';

/**
 * What projects have approved of the tools of their servers. By the server's name and not its row: one that is deleted and made
 * anew under it is no news to who pinned it. What is bound already is trusted as it is now.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table server_tools add column is_too_large boolean not null default false;
    update server_tools set is_too_large = true
      where octet_length(coalesce(definition::json ->> 'description', '')) > 2048;

    create index projects_servers on projects using gin (servers jsonb_path_ops);

    -- Of that server it is written down what it had when the project got it.
    create table server_pins (
      project_id uuid not null references projects (id) on delete cascade,
      server text collate "C" not null,
      pinned_at timestamptz not null default now(),
      primary key (project_id, server)
    );

    create table tool_pins (
      project_id uuid not null,
      server text collate "C" not null,
      name text collate "C" not null,
      hash text not null,
      definition text not null,
      -- Null: it was there when the project got the server.
      approved_by uuid references users (id) on delete set null,
      approved_at timestamptz not null default now(),
      primary key (project_id, server, name),
      foreign key (project_id, server) references server_pins (project_id, server) on delete cascade
    );
    create index tool_pins_approved_by on tool_pins (approved_by) where approved_by is not null;

    with fresh as (
      insert into server_pins (project_id, server)
      select distinct p.id, s.name
      from projects p cross join jsonb_array_elements(p.servers) b join servers s on s.name = b ->> 'server'
      where s.info is not null
      returning project_id, server
    )
    insert into tool_pins (project_id, server, name, hash, definition)
    select f.project_id, f.server, t.name, t.hash, t.definition
    from fresh f join servers s on s.name = f.server join server_tools t on t.server_id = s.id
    where not t.gone and not t.is_too_large;`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop table if exists tool_pins;
    drop table if exists server_pins;
    drop index if exists projects_servers;
    alter table server_tools drop column if exists is_too_large`);
}
