import type { Knex } from 'knex';

/**
 * MCP servers that a hosted worker runs or dials. Its member among the llms is a public row of the type mcp, as of one that a person's
 * worker runs it is a virtual one; hosted workers of the last release pass it over, as it has no URL. Secrets are referred to by
 * their names: a server may be made before its secret, and is not started until that is there.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table servers
      add column source jsonb,                     -- null: its worker says what it is
      add column env jsonb not null default '[]',
      add column limits jsonb;

    -- What a source was when it was written, with nothing left to look up.
    create table server_runs (
      server_id uuid primary key references servers (id) on delete cascade,
      runs jsonb not null
    );

    create table server_secrets (
      server_id uuid not null references servers (id) on delete cascade,
      place text not null,                         -- env.TOKEN, headers.authorization
      secret text collate "C" not null,
      key text not null,
      allowed_by uuid references users (id) on delete set null,
      primary key (server_id, place)
    );
    create index server_secrets_secret on server_secrets (secret);

    create view hosted_servers with (security_barrier) as
      select l.id, s.name, l.pool_key, u.runs, s.env, s.limits, s.revision,
        (select string_agg(concat_ws(' ', r.place, c.id, c.revision, c.origin, v.kid), ',' order by r.place)
          from server_secrets r
            left join secrets c on c.name = r.secret
            left join secret_versions v on v.secret_id = c.id and v.version = c.version
          where r.server_id = s.id) as secret_mark
      from servers s join server_runs u on u.server_id = s.id join llms l on l.name = 'mcp.' || s.name
      where l.kind = 'public' and l.type = 'mcp';

    create view hosted_server_keys with (security_barrier) as
      select l.id as llm_id, r.place, r.key, (select id from installation) as installation, c.id as secret_id, c.name,
        c.version, c.allowed_origins, c.origin, v.kid, v.wrapped_dek, v.items -> r.key as item
      from server_secrets r
        join servers s on s.id = r.server_id
        join server_runs u on u.server_id = s.id
        join llms l on l.name = 'mcp.' || s.name
        join secrets c on c.name = r.secret
        join secret_versions v on v.secret_id = c.id and v.version = c.version
      where l.kind = 'public' and l.type = 'mcp'`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    drop view if exists hosted_servers, hosted_server_keys;
    drop table if exists server_secrets, server_runs;
    delete from llms where kind = 'public' and type = 'mcp';
    alter table servers drop column if exists source, drop column if exists env, drop column if exists limits`);
}
