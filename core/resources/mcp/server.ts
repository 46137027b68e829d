import { z } from 'zod';
import { serverNameSchema } from '../../mcp/names.ts';
import { serverEnvSchema, sourceSchema } from '../../mcp/hosted/source.ts';
import { serverLimitsSchema } from '../../mcp/server-limits.ts';
import { textSchema } from '../../names.ts';
import { defineResource, optional, ownership, required, shown } from '../define.ts';

/**
 * Published by the worker that runs it, as an llm is; what starts it is known to that machine alone. One that has a `source` is
 * run or dialled by a hosted worker instead.
 */
export const server = defineResource({
  word: 'server',
  plural: 'servers',
  short: ['srv'],
  about: 'an MCP server that a worker runs, whose tools projects have',
  key: 'name',
  naming: serverNameSchema,
  fields: {
    name: required(serverNameSchema),
    description: optional(textSchema(2_000), ''),
    source: optional(sourceSchema.nullable(), null, { json: true, hidden: true }),
    env: optional(serverEnvSchema, [], { json: true, hidden: true }),
    limits: optional(serverLimitsSchema.nullable(), null, { json: true }),
  },
  server: {
    info: z.object({ name: z.string(), version: z.string() }).nullable(),
    tools: z.array(z.string()),
  },
  derived: {
    /** `public`: a hosted worker runs or dials it. */
    kind: z.enum(['public', 'virtual']),
    status: z.enum(['active', 'inactive', 'hibernating']),
    reason: z.string().nullable(),
    /** Of one that was made of a template that is another by now: `1.0.0 -> 1.1.0`. */
    update: z.string().nullable(),
  },
  filters: [],
  may: { view: 'owner', create: 'everyone', edit: 'owner', delete: 'owner', run: 'owner' },
  quota: { user: 100, all: 5_000 },
  missing: 'server_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('KIND', 'kind'),
    shown('STATUS', 'status'),
    shown('TOOLS', 'tools', { as: 'count', spare: true }),
    shown('OWNER', 'owner', { spare: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago', wide: true }),
    shown('DESCRIPTION', 'description', { wide: true }),
    shown('TOOL NAMES', 'tools', { as: 'list', wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Kind', 'kind'),
    shown('Status', 'status'),
    shown('Reason', 'reason'),
    shown('Program', 'info.name'),
    shown('Version', 'info.version'),
    shown('Tools', 'tools', { as: 'list' }),
    shown('Source', 'source'),
    shown('Update', 'update'),
    shown('Environment', 'env.name', { as: 'list' }),
    ...ownership,
  ],
  backup: 'with',
  example: { name: 'files', description: 'Files of the build machine' },
});
