import { z } from 'zod';
import { linkSchema, tagsSchema } from '../../mcp/gate.ts';
import { nameSchema, textBlockSchema, textSchema } from '../../names.ts';
import { agent } from './agent.ts';
import { defineResource, optional, ownership, reference, required, shown } from '../define.ts';
import { project } from './project.ts';

export const prompt = defineResource({
  word: 'prompt',
  plural: 'prompts',
  short: ['pr'],
  about: 'a text for models, of a project, of an agent, or of neither',
  key: 'id',
  fields: {
    name: required(nameSchema),
    project: reference(project, { onDelete: 'cascade', needs: 'edit' }),
    agent: reference(agent, { onDelete: 'cascade', needs: 'edit' }),
    priority: optional(z.int().min(0).max(1_000), 500),
    /** It has one, or a link. */
    content: optional(textBlockSchema(100_000, 0), '', { long: true }),
    /** Of a project's: what its content is in a server of the project, read when it is told. */
    link: optional(linkSchema.nullable(), null, { json: true }),
    /** What it is about, in words that a task may have. */
    tags: optional(tagsSchema, [], { json: true, item: { flag: 'tag', parts: [] } }),
    /** What stands for it where it is listed; without one, its first sentence. */
    summary: optional(textSchema(160), ''),
  },
  derived: {
    /** A worker publishes it with its agent. */
    isPublished: z.boolean(),
    /** `agent/reviewer`, `project/core`, or `global`: of neither. */
    scope: z.string(),
    /** Of its content. */
    bytes: z.number(),
    /** Of one with a link: whether that could be read when it was told last; null: it was not for five minutes. */
    linkStatus: z.enum(['ok', 'dead']).nullable(),
  },
  unique: ['project', 'agent', 'name'],
  filters: ['project', 'agent'],
  may: { view: 'owner', edit: 'owner', delete: 'owner' },
  quota: { user: 500, all: 20_000 },
  missing: 'prompt_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('SCOPE', 'scope'),
    shown('PRIORITY', 'priority'),
    shown('BYTES', 'bytes'),
    shown('LINK', 'linkStatus', { spare: true }),
    shown('OWNER', 'owner', { spare: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago' }),
    shown('ID', 'id'),
    shown('TAGS', 'tags', { as: 'list', wide: true }),
    shown('SUMMARY', 'summary', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Scope', 'scope'),
    shown('Priority', 'priority'),
    shown('Bytes', 'bytes'),
    shown('Tags', 'tags', { as: 'list' }),
    shown('Summary', 'summary'),
    shown('Server', 'link.server'),
    shown('Resource', 'link.uri'),
    shown('Link', 'linkStatus'),
    ...ownership,
    shown('Content', 'content', { as: 'block' }),
  ],
  backup: 'with',
  example: { name: 'tone', priority: 700, content: 'Be brief.\nSay what you do not know.' },
});
