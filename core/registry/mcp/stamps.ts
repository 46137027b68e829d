import type { Knex } from 'knex';
import { z } from 'zod';
import { meansServer } from '../names/meant.ts';

/** What the lists of a project are made of, as texts that change when a list does; of who sees what of them they say nothing. */
export interface ListStamps {
  tools: string;
  prompts: string;
  resources: string;
  /** Where the project shows `begin_session` alone to who was not told its prompts: which revision of them; else null. */
  hides: string | null;
}

const rowSchema = z.object({
  id: z.string(),
  tools: z.string(),
  prompts: z.string(),
  resources: z.string(),
  hides: z.string().nullable(),
});

/** Of what one server has now: which things, and what it says of each. */
const offers = (kinds: string): string => `(
    select string_agg(md5(o.name || o.definition), ',' order by o.kind, o.name)
    from server_offers o where o.server_id = its.server_id and o.kind in (${kinds}) and not o.gone)`;

/** Of those what the project has approved, and as what. */
const approved = (kinds: string): string => `coalesce((
    select string_agg(md5(a.server || a.name || a.hash), ',' order by a.server, a.kind, a.name)
    from offer_pins a where a.project_id = p.id and a.kind in (${kinds})), '')`;

/** SQL: which revision of a project's own prompts there is. @param projectId SQL too. */
export const promptsRevision = (projectId: string): string => `(
    select md5(coalesce(string_agg(own.id::text || ' ' || own.revision, ',' order by own.id), ''))
    from prompts own where own.project_id = ${projectId})`;

/**
 * Of those projects that are there, by their ids; in one question, which reads no definition of a tool. What a server has is read
 * once, in however many of them it is.
 */
export async function listStamps(
  db: Knex,
  projectIds: readonly string[],
): Promise<ReadonlyMap<string, ListStamps>> {
  const all = (of: string): string => `coalesce(string_agg(made.${of}, ',' order by made.server_id), '')`;
  const { rows } = await db.raw<{ rows: unknown }>(
    `with bound as (
       select distinct p.id, s.id as server_id
       from projects p cross join jsonb_array_elements(p.servers) b join servers s on s.name = b ->> 'server'
       where p.id = any(?) and ${meansServer('p.id', 's')}
     ), made as materialized (
       select its.server_id,
         md5(its.server_id || coalesce((
           select string_agg(t.name || t.hash, ',' order by t.name)
           from server_tools t where t.server_id = its.server_id and not t.gone), '')) as tools,
         md5(its.server_id || coalesce(${offers("'prompt'")}, '')) as prompts,
         md5(its.server_id || coalesce(${offers("'resource', 'template'")}, '')) as resources
       from (select distinct server_id from bound) its
     )
     select p.id,
       md5(p.servers::text || p.prefix || p.pipeline::text || p.gate || ${all('tools')} || coalesce((
         select string_agg(a.server || a.name || a.hash, ',' order by a.server, a.name)
         from tool_pins a where a.project_id = p.id), '')) as tools,
       md5(p.servers::text || p.prefix || ${promptsRevision('p.id')} || ${all('prompts')} || ${approved("'prompt'")}) as prompts,
       case when p.gate = 'hide' then ${promptsRevision('p.id')} end as hides,
       md5(p.servers::text || ${all('resources')} || ${approved("'resource', 'template'")}) as resources
     from projects p left join bound on bound.id = p.id left join made using (server_id)
     where p.id = any(?) group by p.id`,
    [[...projectIds], [...projectIds]],
  );
  return new Map(
    z
      .array(rowSchema)
      .parse(rows)
      .map(({ id, ...stamps }) => [id, stamps]),
  );
}
