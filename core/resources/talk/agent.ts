import { z } from 'zod';
import { paramsSchema } from '../../agent/default-params.ts';
import { extrasSchema } from '../../agent/extras.ts';
import { nameSchema, textBlockSchema, textSchema } from '../../names.ts';
import {
  defineResource,
  optional,
  ownership,
  reference,
  required,
  requiredReference,
  shown,
  visibilities,
} from '../define.ts';
import { llm } from '../llm.ts';
import { project } from './project.ts';

export const agent = defineResource({
  word: 'agent',
  plural: 'agents',
  short: ['a'],
  about: 'a persona that is called as a model: a system prompt and defaults, over an llm',
  key: 'name',
  reachedBy: ['pool'],
  fields: {
    name: required(nameSchema),
    description: optional(textSchema(2_000), ''),
    llm: requiredReference(llm, { onDelete: 'refuse', needs: 'run' }),
    pinMode: optional(z.enum(['pool', 'only']), 'pool', { audit: 'value' }),
    project: reference(project, { onDelete: 'clear', needs: 'edit' }),
    /** It is offered what the project's MCP servers have, and the server runs what it calls of that. */
    serverTools: optional(z.boolean(), false, { audit: 'value' }),
    /** One of its own, by its name: what is said where a call says none. */
    defaultPersonality: optional(nameSchema.nullable(), null, { afterwards: true }),
    visibility: optional(z.enum(visibilities), 'shared', { audit: 'value' }),
    defaultParams: optional(paramsSchema, {}, { json: true, hidden: true }),
    /** How it is asked besides. */
    extras: optional(extrasSchema, {}, { json: true, hidden: true }),
    systemPrompt: optional(textBlockSchema(100_000, 0), '', { long: true, hidden: true }),
  },
  derived: {
    /** `virtual`: a worker publishes it. */
    kind: z.enum(['public', 'virtual']),
    status: z.enum(['active', 'hibernating', 'inactive']),
    /** Why it is inactive: of a virtual one `publisher_gone` or `unpublished`, else `llm_down`. */
    inactiveReason: z.enum(['publisher_gone', 'unpublished', 'llm_down']).nullable(),
    /** Since when its publisher is not there. */
    inactiveSince: z.string().nullable(),
    pool: z.string(),
    /** Of who asks: threads with it, and when they last said something there. */
    threads: z.number(),
    lastUsedAt: z.string().nullable(),
  },
  filters: ['llm', 'project'],
  may: { view: 'shared', edit: 'owner', delete: 'owner', run: 'shared' },
  quota: { user: 100, all: 5_000 },
  missing: 'agent_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('KIND', 'kind'),
    shown('STATUS', 'status'),
    shown('LLM', 'llm'),
    shown('POOL', 'pool'),
    shown('PROJECT', 'project', { spare: true }),
    shown('PERSONALITY', 'defaultPersonality', { spare: true }),
    shown('OWNER', 'owner', { spare: true }),
    shown('THREADS', 'threads', { wide: true }),
    shown('LAST-USED', 'lastUsedAt', { as: 'ago', wide: true }),
    shown('PARAMS', 'defaultParams', { wide: true }),
    shown('VISIBILITY', 'visibility', { wide: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago', wide: true }),
    shown('DESCRIPTION', 'description', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Kind', 'kind'),
    shown('Status', 'status'),
    shown('Inactive', 'inactiveReason'),
    shown('Since', 'inactiveSince', { as: 'ago' }),
    shown('Llm', 'llm'),
    shown('Pool', 'pool'),
    shown('Pin mode', 'pinMode'),
    shown('Project', 'project'),
    shown('Server tools', 'serverTools'),
    shown('Personality', 'defaultPersonality'),
    shown('Visibility', 'visibility'),
    shown('Own threads', 'threads'),
    shown('Last used', 'lastUsedAt', { as: 'ago' }),
    shown('Default params', 'defaultParams'),
    shown('Extras', 'extras'),
    ...ownership,
    shown('System prompt', 'systemPrompt', { as: 'block' }),
  ],
  backup: 'with',
  example: {
    name: 'reviewer',
    llm: 'tiny-chat',
    defaultParams: { temperature: 0.2 },
    systemPrompt: 'You review code.\nSay what breaks first.',
  },
});
