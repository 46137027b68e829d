import type { Knex } from 'knex';
import { z } from 'zod';

/** What the lists of a project are made of, as texts that change when a list does; of who sees what of them they say nothing. */
export interface ListStamps {
  tools: string;
  prompts: string;
  resources: string;
}

const rowSchema = z.object({
  id: z.string(),
  tools: z.string(),
  prompts: z.string(),
  resources: z.string(),
});

/** Of those projects that are there, by their ids; in one question, which reads no definition of a tool. */
export async function listStamps(
  db: Knex,
  projectIds: readonly string[],
): Promise<ReadonlyMap<string, ListStamps>> {
  const offers = (kinds: string): string => `(
    select coalesce(string_agg(o.name || o.definition || o.gone, ',' order by o.server_id, o.kind, o.name), '')
    from servers s join server_offers o on o.server_id = s.id
    where s.name in (select b ->> 'server' from jsonb_array_elements(p.servers) b) and o.kind in (${kinds}))`;
  const { rows } = await db.raw<{ rows: unknown }>(
    `select p.id,
       md5(p.servers::text || p.prefix || (
         select coalesce(string_agg(t.name || t.hash || t.gone, ',' order by t.server_id, t.name), '')
         from servers s join server_tools t on t.server_id = s.id
         where s.name in (select b ->> 'server' from jsonb_array_elements(p.servers) b))) as tools,
       md5(p.servers::text || p.prefix || ${offers("'prompt'")}) as prompts,
       md5(p.servers::text || ${offers("'resource', 'template'")}) as resources
     from projects p where p.id = any(?)`,
    [[...projectIds]],
  );
  return new Map(
    z
      .array(rowSchema)
      .parse(rows)
      .map(({ id, ...stamps }) => [id, stamps]),
  );
}
