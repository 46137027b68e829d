import type { Knex } from 'knex';
import { z } from 'zod';
import type { Persona } from '../../agent/compose.ts';
import { McpctlError } from '../../errors.ts';
import { nameSchema } from '../../names.ts';
import { didYouMean, nearest } from '../../runtime/nearest.ts';

/** Personalities of one agent that are shown among models, and that a misspelt one is looked for in. */
export const MOST_SHOWN = 50;

/** Of one agent; the quota of one user is no more. */
const MOST_LISTED = 500;

/** A personality as whoever may run its agent knows of it: not by what it says. */
export const shownPersonalitySchema = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  priority: z.number(),
  isDefault: z.boolean(),
});
export type ShownPersonality = z.infer<typeof shownPersonalitySchema>;

export interface Personalities {
  /** The default personalities of agents, by their ids. */
  defaultsOf(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** How many agents and prompts projects have, by their ids. */
  inProjects(ids: readonly string[]): Promise<ReadonlyMap<string, { agents: number; prompts: number }>>;
  /** What others may know of its personalities. */
  personalities(id: string): Promise<ShownPersonality[]>;
}

export function createPersonalities(db: Knex): Personalities {
  return {
    async defaultsOf(ids) {
      const rows = await db('agents')
        .whereIn('id', [...ids])
        .whereNotNull('defaultPersonality')
        .select<{ id: string; defaultPersonality: string }[]>('id', 'defaultPersonality');
      return new Map(rows.map(({ id, defaultPersonality }) => [id, defaultPersonality]));
    },
    async inProjects(ids) {
      const { rows } = await db.raw<{ rows: { id: string; agents: number; prompts: number }[] }>(
        `select id, (select count(*)::int from agents where project_id = p.id) as agents,
           (select count(*)::int from prompts where project_id = p.id) as prompts from projects p where id = any(:ids)`,
        { ids: [...ids] },
      );
      return new Map(rows.map(({ id, ...counts }) => [id, counts]));
    },
    async personalities(agentId) {
      const rows: unknown[] = await db('personalities')
        .join('agents', 'agents.id', 'personalities.agentId')
        .where({ agentId })
        .orderByRaw('personalities.priority desc, personalities.name')
        .limit(MOST_LISTED)
        .select(
          'personalities.id',
          'personalities.name',
          'personalities.description',
          'personalities.priority',
        )
        .select(db.raw('agents.default_personality is not distinct from personalities.name as is_default'));
      return z.array(shownPersonalitySchema).parse(rows);
    },
  };
}

/** What is said of one that an agent does not have, with those that are near. */
export async function noPersonality(
  db: Knex,
  { id, name }: Pick<Persona, 'id' | 'name'>,
  asked: string,
): Promise<McpctlError> {
  const names = await db('personalities')
    .where({ agentId: id })
    .limit(MOST_SHOWN)
    .orderBy('name')
    .pluck<string[]>('name');
  const near = nearest(asked, names);
  // A word that no personality can have is nobody's to repeat.
  const which = nameSchema.safeParse(asked).success ? ` named '${asked}'` : ' of that name';
  return new McpctlError(
    'personality_not_found',
    `The agent '${name}' has no personality${which}.${didYouMean(near)}`,
  );
}
