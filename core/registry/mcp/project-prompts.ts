import type { Knex } from 'knex';
import { z } from 'zod';
import { weightOf, type ListedPrompt } from '../../mcp/briefing/choose.ts';
import { firstSentence } from '../../mcp/briefing/words.ts';
import { cleaned } from '../../mcp/clean.ts';
import { linkSchema, tagsSchema } from '../../mcp/gate.ts';
import { promptsRevision } from './stamps.ts';

/** Of one project; the others of it are neither told nor listed. */
const MOST_PROMPTS = 500;
/** So much of a text is looked at for its first sentence. */
const HEAD_CHARS = 1_000;

const rowSchema = z.object({
  id: z.string(),
  name: z.string(),
  priority: z.number(),
  tags: tagsSchema.catch([]),
  summary: z.string(),
  head: z.string(),
  bytes: z.number(),
  link: linkSchema.nullable().catch(null),
  revision: z.number(),
  ofAll: z.string(),
});
const textSchema = z.object({ id: z.string(), revision: z.number(), content: z.string() });

/** `weightOf` in SQL, so that of too many those are left out that weigh least. */
const WEIGHT = 'greatest(1, least(10, case when priority > 10 then priority / 100 else priority end))';

/** A project's prompts at one revision of all of them, as a project says it. */
export interface PromptsRead {
  /** Null: there are none. */
  revision: string | null;
  prompts: ListedPrompt[];
}
/** The text of a prompt, and of which revision of that one it is. */
export type PromptText = z.output<typeof textSchema>;

/** What a project itself tells. */
export interface ProjectPrompts {
  /** Without their texts; of too many those that weigh most. */
  prompts(projectId: string): Promise<PromptsRead>;
  /** The texts of some, by their ids; those that are gone meanwhile are not there. */
  promptTexts(ids: readonly string[]): Promise<PromptText[]>;
}

export const projectPrompts = (db: Knex): ProjectPrompts => ({
  prompts: (projectId) => listProjectPrompts(db, projectId),
  promptTexts: (ids) => promptTexts(db, ids),
});

async function listProjectPrompts(db: Knex, projectId: string): Promise<PromptsRead> {
  const rows: unknown = await db('prompts')
    .where({ projectId })
    .orderByRaw(`${WEIGHT} desc, name`)
    .limit(MOST_PROMPTS)
    .select('id', 'name', 'priority', 'tags', 'summary', 'link', 'revision')
    .select(db.raw('octet_length(content) as bytes'))
    .select(db.raw(`case when summary = '' then left(content, ?) else '' end as head`, [HEAD_CHARS]))
    .select(db.raw(`${promptsRevision('?')} as of_all`, [projectId]));
  const read = z.array(rowSchema).parse(rows);
  return {
    revision: read[0]?.ofAll ?? null,
    prompts: read.map(({ id, name, priority, tags, summary, head, bytes, link, revision }) => ({
      ...{ id, name, priority, tags, link, revision },
      weight: weightOf(priority),
      summary: cleaned(summary === '' ? firstSentence(head) : summary),
      bytes: link ? null : bytes,
    })),
  };
}

async function promptTexts(db: Knex, ids: readonly string[]): Promise<PromptText[]> {
  if (ids.length === 0) return [];
  const rows: unknown = await db('prompts')
    .whereIn('id', [...ids])
    .select('id', 'revision', 'content');
  return z.array(textSchema).parse(rows);
}
