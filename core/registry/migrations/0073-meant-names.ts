import type { Knex } from 'knex';

/**
 * Whose things the names in a project's row are, as they were when they were written (decision 0082). A trigger writes it, for an edge of the
 * last release writes such names too and knows nothing of it: a name that stays in the row keeps its meaning, one that comes is
 * whosever it is now, and one that is nobody's is the project owner's own. What stands is meant as it leads now.
 *
 * A hosted server refers to a secret, and no more to whatever is called so: to the one that there was, or the first that is made while whoever
 * was allowed to refer to it may run it still.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table meant_names (
      project_id uuid not null references projects (id) on delete cascade,
      field text not null check (field in ('llm', 'servers')),
      name text collate "C" not null,
      -- No key of users: who is gone is nobody's owner any more, and no id comes twice.
      owner_id uuid not null,
      primary key (project_id, field, name)
    );
    create index meant_names_owner on meant_names (owner_id);

    create view names_in_projects as
      select distinct p.id as project_id, 'servers' as field, b ->> 'server' as name,
        coalesce(s.owner_id, w.owner_id, p.owner_id) as owner_id
      from projects p cross join jsonb_array_elements(p.servers) b
        left join servers s on s.name = b ->> 'server'
        left join name_owners w on w.name = 'mcp.' || (b ->> 'server')
      where b ->> 'server' is not null
      union all
      select p.id, 'llm', p.llm, coalesce(w.owner_id, p.owner_id)
      from projects p left join name_owners w on w.name = p.llm where p.llm is not null;

    insert into meant_names (project_id, field, name, owner_id)
      select project_id, field, name, owner_id from names_in_projects;

    create function mean_names() returns trigger language plpgsql as $mean$
    begin
      delete from meant_names m where m.project_id = new.id and not exists (
        select 1 from names_in_projects n where n.project_id = new.id and n.field = m.field and n.name = m.name);
      insert into meant_names (project_id, field, name, owner_id)
        select project_id, field, name, owner_id from names_in_projects where project_id = new.id
        on conflict do nothing;
      return null;
    end
    $mean$;
    create trigger projects_mean_names after insert or update of servers, llm on projects
      for each row execute function mean_names();

    alter table server_secrets add column secret_id uuid references secrets (id) on delete set null;
    create index server_secrets_secret_id on server_secrets (secret_id);
    update server_secrets r set secret_id = s.id from secrets s where s.name = r.secret;

    create function mean_secret() returns trigger language plpgsql as $mean$
    begin
      new.secret_id := (select s.id from secrets s where s.name = new.secret);
      return new;
    end
    $mean$;
    create trigger server_secrets_mean before insert or update of secret, allowed_by on server_secrets
      for each row execute function mean_secret();

    create function refer_to_secret() returns trigger language plpgsql as $refer$
    begin
      update server_secrets r set secret_id = new.id
        where r.secret = new.name and r.secret_id is null
          and (r.allowed_by = new.owner_id or user_may(r.allowed_by, 'run', 'secret', new.name));
      return null;
    end
    $refer$;
    create trigger secrets_referred after insert on secrets for each row execute function refer_to_secret();

    ${hostedViews('c.id = r.secret_id')}`);
}

const hostedViews = (referred: string): string => `
  create or replace view hosted_servers with (security_barrier) as
    select l.id, s.name, l.pool_key, u.runs, s.env, s.limits, s.revision,
      (select string_agg(concat_ws(' ', r.place, c.id, c.revision, c.origin, v.kid), ',' order by r.place)
        from server_secrets r
          left join secrets c on ${referred}
          left join secret_versions v on v.secret_id = c.id and v.version = c.version
        where r.server_id = s.id) as secret_mark
    from servers s join server_runs u on u.server_id = s.id join llms l on l.name = 'mcp.' || s.name
    where l.kind = 'public' and l.type = 'mcp';

  create or replace view hosted_server_keys with (security_barrier) as
    select l.id as llm_id, r.place, r.key, (select id from installation) as installation, c.id as secret_id, c.name,
      c.version, c.allowed_origins, c.origin, v.kid, v.wrapped_dek, v.items -> r.key as item
    from server_secrets r
      join servers s on s.id = r.server_id
      join server_runs u on u.server_id = s.id
      join llms l on l.name = 'mcp.' || s.name
      join secrets c on ${referred}
      join secret_versions v on v.secret_id = c.id and v.version = c.version
    where l.kind = 'public' and l.type = 'mcp';`;

export async function down(db: Knex): Promise<void> {
  await db.raw(`
    ${hostedViews('c.name = r.secret')}
    drop trigger if exists secrets_referred on secrets;
    drop trigger if exists server_secrets_mean on server_secrets;
    drop function if exists refer_to_secret(), mean_secret();
    alter table server_secrets drop column if exists secret_id;
    drop trigger if exists projects_mean_names on projects;
    drop function if exists mean_names();
    drop view if exists names_in_projects;
    drop table if exists meant_names`);
}
