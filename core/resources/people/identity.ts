import { z } from 'zod';
import { operations } from '../../access/grants.ts';
import { nameSchema, textSchema } from '../../names.ts';
import { defineResource, optional, ownership, required, shown } from '../define.ts';
import { grantSchema } from './grant.ts';

/** Wider than other names: people are called by their addresses too. */
export const userNameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._@-]{0,62}$/, 'a user name is 1 to 63 of a-z 0-9 . _ @ -');

/** Where one is shown alone, to who may view rbac: what is granted to it, and by what else it has something, with the way. */
const grantedBy = { direct: z.array(z.string()).optional(), inherited: z.array(z.string()).optional() };
const grantedShown = [
  shown('DIRECT', 'direct', { as: 'block' }),
  shown('INHERITED', 'inherited', { as: 'block' }),
];

export const user = defineResource({
  word: 'user',
  plural: 'users',
  short: ['u'],
  about: 'who calls, and who publishes',
  key: 'name',
  naming: userNameSchema,
  fields: {
    name: required(userNameSchema, { audit: 'value' }),
    kind: optional(z.enum(['human', 'service']), 'human', { audit: 'value' }),
    enabled: optional(z.boolean(), true, { audit: 'value' }),
  },
  derived: { groups: z.array(z.string()), ...grantedBy },
  filters: ['kind'],
  may: {},
  isTombstoned: true,
  isHandedOver: true,
  isRenamed: true,
  quota: { user: 5_000, all: 10_000 },
  missing: 'user_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('KIND', 'kind'),
    shown('ENABLED', 'enabled'),
    shown('GROUPS', 'groups', { as: 'list' }),
    shown('UPDATED', 'updatedAt', { as: 'ago', spare: true }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Kind', 'kind'),
    shown('Enabled', 'enabled'),
    shown('Groups', 'groups', { as: 'list' }),
    ...ownership,
    ...grantedShown,
  ],
  backup: 'with',
  example: { name: 'grace', kind: 'human' },
});

/** Of a group with more, members are not written all at once, but one by one. */
export const MOST_MEMBERS = 1_000;

const membersSchema = z
  .array(userNameSchema)
  .max(MOST_MEMBERS)
  .overwrite((names) => [...new Set(names)].sort());

export const group = defineResource({
  word: 'group',
  plural: 'groups',
  short: ['grp'],
  about: 'users who are granted the same',
  key: 'name',
  fields: {
    name: required(nameSchema, { audit: 'value' }),
    description: optional(textSchema(2_000), ''),
    members: optional(membersSchema, [], {
      json: true,
      apart: true,
      kept: true,
      audit: 'value',
      item: { flag: 'member', parts: [] },
    }),
  },
  derived: grantedBy,
  filters: [],
  may: {},
  isRenamed: true,
  quota: { user: 500, all: 2_000 },
  missing: 'group_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('DESCRIPTION', 'description', { spare: true }),
    shown('MEMBERS', 'members', { as: 'list' }),
    shown('UPDATED', 'updatedAt', { as: 'ago' }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Members', 'members', { as: 'list' }),
    ...ownership,
    ...grantedShown,
  ],
  backup: 'with',
  example: { name: 'gpu', description: 'Who may use the rack' },
});

const subjectSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('user'), name: userNameSchema }),
  z.strictObject({ kind: z.literal('group'), name: nameSchema }),
]);
export type Subject = z.infer<typeof subjectSchema>;

export const rbac = defineResource({
  word: 'rbac',
  plural: 'rbac',
  short: [],
  about: 'what users and groups are granted',
  key: 'name',
  fields: {
    name: required(nameSchema),
    description: optional(textSchema(2_000), ''),
    subjects: optional(z.array(subjectSchema).max(100), [], {
      json: true,
      audit: 'value',
      item: { flag: 'subject', parts: ['kind', 'name'] },
    }),
    bindings: optional(z.array(grantSchema).max(100), [], {
      json: true,
      audit: 'value',
      item: { flag: 'binding', parts: ['role', 'resource', 'name'] },
    }),
    operations: optional(z.array(z.enum(operations)).max(operations.length), [], {
      json: true,
      audit: 'value',
      item: { flag: 'operation', parts: [] },
    }),
  },
  derived: {
    /** Where it is shown alone: bindings of what is not there, of what one may view. */
    dangling: z.array(z.string()).optional(),
  },
  filters: [],
  may: {},
  quota: { user: 200, all: 1_000 },
  missing: 'rbac_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('SUBJECTS', 'subjects.name', { as: 'list' }),
    shown('RESOURCES', 'bindings.resource', { as: 'list', wide: true }),
    shown('DESCRIPTION', 'description', { spare: true }),
    shown('UPDATED', 'updatedAt', { as: 'ago' }),
    shown('ID', 'id', { wide: true }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Description', 'description'),
    shown('Subjects', 'subjects'),
    shown('Bindings', 'bindings'),
    shown('Operations', 'operations', { as: 'list' }),
    shown('Dangling', 'dangling', { as: 'list', none: 'none' }),
    ...ownership,
  ],
  backup: 'with',
  example: {
    name: 'gpu-users',
    subjects: [{ kind: 'group', name: 'everyone' }],
    bindings: [{ role: 'run', resource: 'llm', name: 'gpt' }],
  },
});
