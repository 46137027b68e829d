import { z } from 'zod';
import { bindingsSchema, prefixSchema } from '../../mcp/bindings.ts';
import { gateSchema } from '../../mcp/gate.ts';
import { pipelineSchema } from '../../mcp/pipeline/settings.ts';
import { aliasSchema, nameSchema, textSchema } from '../../names.ts';
import { defineResource, optional, ownership, required, shown } from '../define.ts';

export const project = defineResource({
  word: 'project',
  plural: 'projects',
  short: ['proj'],
  about: 'what belongs together',
  key: 'name',
  fields: {
    name: required(nameSchema),
    description: optional(textSchema(2_000), ''),
    servers: optional(bindingsSchema, [], {
      json: true,
      item: { flag: 'mcp-server', parts: ['server', 'alias'] },
    }),
    prefix: optional(prefixSchema, 'always'),
    /** What becomes of results between a server and who called. */
    pipeline: optional(pipelineSchema, {}, { json: true }),
    /** Who uses its tools is told its prompts first, or not. */
    gate: optional(gateSchema, 'off', { audit: 'value' }),
    /** What a call's `model` may be, of whoever calls something so when it is written: it chooses among prompts, for who may call it. It may come and go. */
    llm: optional(aliasSchema.nullable(), null, { audit: 'value' }),
  },
  derived: {
    /** How many it has. */
    agents: z.number(),
    prompts: z.number(),
    /** Whose the llm is that it means, who may read what that is asked; null: it has none. */
    llmOwner: z.string().nullable(),
    /** Of its names those that lead to nothing that it means, a sentence each: they are not called. */
    unbound: z.array(z.string()),
  },
  filters: [],
  may: { view: 'owner', edit: 'owner', delete: 'owner', run: 'owner' },
  quota: { user: 100, all: 5_000 },
  missing: 'project_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('AGENTS', 'agents'),
    shown('PROMPTS', 'prompts'),
    shown('DESCRIPTION', 'description', { spare: true }),
    shown('OWNER', 'owner'),
    shown('UPDATED', 'updatedAt', { as: 'ago' }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Agents', 'agents'),
    shown('Prompts', 'prompts'),
    shown('Servers', 'servers.server', { as: 'list' }),
    shown('Gate', 'gate'),
    shown('Llm', 'llm'),
    shown('Llm of', 'llmOwner'),
    shown('Unbound', 'unbound', { as: 'list' }),
    ...ownership,
  ],
  backup: 'with',
  example: { name: 'support', description: 'Answers to customers' },
});
