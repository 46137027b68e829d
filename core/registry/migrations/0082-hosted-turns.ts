import type { Knex } from 'knex';

/** As in migration 0073. @param more columns behind its own. */
const hostedServers = (more: string): string => `
  create or replace view hosted_servers with (security_barrier) as
    select l.id, s.name, l.pool_key, u.runs, s.env, s.limits, s.revision,
      (select string_agg(concat_ws(' ', r.place, c.id, c.revision, c.origin, v.kid), ',' order by r.place)
        from server_secrets r
          left join secrets c on c.id = r.secret_id
          left join secret_versions v on v.secret_id = c.id and v.version = c.version
        where r.server_id = s.id) as secret_mark${more}
    from servers s join server_runs u on u.server_id = s.id join llms l on l.name = 'mcp.' || s.name
    where l.kind = 'public' and l.type = 'mcp'`;

/**
 * Whose a hosted MCP server is: owners take turns where there are more than are run. And how it is looked after, as its template said when it was
 * made of it: beside `runs`, of which the last release takes no more than it knows.
 */
export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table server_runs add column health_check jsonb;
    update server_runs u set health_check = t.definition -> 'healthCheck'
      from servers s join templates t on t.name = s.source ->> 'template' and t.definition ->> 'version' = s.source ->> 'version'
      where s.id = u.server_id;
    ${hostedServers(', s.owner_id, u.health_check')}`);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(`drop view if exists hosted_servers; ${hostedServers('')};
    alter table server_runs drop column if exists health_check`);
}
