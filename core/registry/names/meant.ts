import type { Knex } from 'knex';
import { z } from 'zod';

/**
 * SQL: whether a project means the server `s`, that is called as one of its names: it is the owner's whose it was when the project was
 * given that name (migration 0073). @param projectId SQL too.
 */
export const meansServer = (projectId: string, s: string): string => `exists (
    select 1 from meant_names m where m.project_id = ${projectId} and m.field = 'servers' and m.name = ${s}.name and m.owner_id = ${s}.owner_id)`;

/** What a call's `model` may be, of the owner whose it was when it was written; another's of that name is not asked. */
export const meantNameSchema = z.object({ name: z.string(), ownerId: z.string() });
export type MeantName = z.infer<typeof meantNameSchema>;

/** SQL: the llm of a project `p`. */
export const MEANT_LLM = `(select json_build_object('name', m.name, 'ownerId', m.owner_id) from meant_names m
  where m.project_id = p.id and m.field = 'llm' and m.name = p.llm) as meant_llm`;

const unboundSchema = z.object({
  projectId: z.string(),
  field: z.enum(['llm', 'servers']),
  name: z.string(),
  /** Whether something is called so: then it is another owner's than the project means. */
  isThere: z.boolean(),
});
/** A name in a project that leads to nothing that the project means. */
export type UnboundName = z.infer<typeof unboundSchema>;

export async function unboundIn(db: Knex, projectIds: readonly string[]): Promise<UnboundName[]> {
  if (projectIds.length === 0) return [];
  const { rows } = await db.raw<{ rows: unknown }>(
    `select m.project_id, m.field, m.name, coalesce(s.owner_id, w.owner_id) is not null as is_there
     from meant_names m
       left join servers s on m.field = 'servers' and s.name = m.name
       left join name_owners w on m.field = 'llm' and w.name = m.name
     where m.project_id = any(?) and coalesce(s.owner_id, w.owner_id) is distinct from m.owner_id
     order by m.project_id, m.field, m.name`,
    [[...projectIds]],
  );
  return z.array(unboundSchema).parse(rows);
}

/** Whose llms projects mean, by the projects' ids: names of users. */
export async function llmOwnersIn(
  db: Knex,
  projectIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (projectIds.length === 0) return new Map();
  const rows = await db('meantNames as m')
    .join('projects as p', (on) => on.on('p.id', 'm.projectId').andOn('p.llm', 'm.name'))
    .join('users as u', 'u.id', 'm.ownerId')
    .whereIn('m.projectId', [...projectIds])
    .where('m.field', 'llm')
    .select<{ projectId: string; name: string }[]>('m.projectId', 'u.name');
  return new Map(rows.map(({ projectId, name }) => [projectId, name]));
}
