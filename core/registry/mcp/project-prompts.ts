import type { Knex } from 'knex';
import { z } from 'zod';
import { weightOf, type ListedPrompt } from '../../mcp/briefing/choose.ts';
import { firstSentence } from '../../mcp/briefing/words.ts';
import { cleaned } from '../../mcp/clean.ts';
import { linkSchema, tagsSchema } from '../../mcp/gate.ts';

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
});

/** `weightOf` in SQL, so that of too many those are left out that weigh least. */
const WEIGHT = 'greatest(1, least(10, case when priority > 10 then priority / 100 else priority end))';

/** What a project itself tells. */
export interface ProjectPrompts {
  /** Without their texts; of too many those that weigh most. */
  prompts(projectId: string): Promise<ListedPrompt[]>;
  /** The texts of some, by their ids; those that are gone meanwhile are not there. */
  promptTexts(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

export const projectPrompts = (db: Knex): ProjectPrompts => ({
  prompts: (projectId) => listProjectPrompts(db, projectId),
  promptTexts: (ids) => promptTexts(db, ids),
});

async function listProjectPrompts(db: Knex, projectId: string): Promise<ListedPrompt[]> {
  const rows: unknown = await db('prompts')
    .where({ projectId })
    .orderByRaw(`${WEIGHT} desc, name`)
    .limit(MOST_PROMPTS)
    .select('id', 'name', 'priority', 'tags', 'summary', 'link')
    .select(db.raw('octet_length(content) as bytes'))
    .select(db.raw(`case when summary = '' then left(content, ?) else '' end as head`, [HEAD_CHARS]));
  return z
    .array(rowSchema)
    .parse(rows)
    .map(({ id, name, priority, tags, summary, head, bytes, link }) => ({
      ...{ id, name, priority, tags, link },
      weight: weightOf(priority),
      summary: cleaned(summary === '' ? firstSentence(head) : summary),
      bytes: link ? null : bytes,
    }));
}

async function promptTexts(db: Knex, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const rows: unknown = await db('prompts')
    .whereIn('id', [...ids])
    .select('id', 'content');
  const texts = z.array(z.object({ id: z.string(), content: z.string() })).parse(rows);
  return new Map(texts.map(({ id, content }) => [id, content]));
}
