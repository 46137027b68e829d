import type { Knex } from 'knex';
import { z } from 'zod';
import { nameSchema, textBlockSchema, textSchema } from '../../core/names.ts';
import {
  defineResource,
  optional,
  ownership,
  reference,
  required,
  shown,
} from '../../core/resources/define.ts';
import { project } from '../../core/resources/talk/project.ts';

/** A resource that is nowhere but in the tests: its definition and its migration, as any other's. */
export const gadget = defineResource({
  word: 'gadget',
  plural: 'gadgets',
  short: ['gd'],
  about: 'something to try definitions with',
  key: 'name',
  fields: {
    name: required(nameSchema),
    size: optional(z.int().min(0).max(9), 3),
    tags: optional(z.array(nameSchema).max(4), [], { json: true }),
    pin: optional(textSchema(64), null, { secret: true }),
    project: reference(project, { onDelete: 'refuse', needs: 'view' }),
    notes: optional(textBlockSchema(10_000).nullable(), null, { long: true }),
  },
  server: { uses: z.number() },
  derived: { light: z.string() },
  filters: ['project'],
  may: { view: 'everyone', create: 'owner', edit: 'owner', delete: 'owner' },
  quota: { user: 50, all: 100 },
  missing: 'route_not_found',
  columns: [
    shown('NAME', 'name'),
    shown('SIZE', 'size'),
    shown('TAGS', 'tags', { as: 'list' }),
    shown('LIGHT', 'light'),
    shown('PROJECT', 'project', { wide: true, none: 'none' }),
  ],
  describe: [
    shown('Name', 'name'),
    shown('Uses', 'uses'),
    ...ownership,
    shown('Notes', 'notes', { as: 'block' }),
  ],
  backup: 'without',
  example: { name: 'lamp', size: 4 },
});

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table gadgets (
      id uuid primary key,
      name text collate "C" not null unique,
      size int not null,
      tags jsonb not null,
      pin text,
      project_id uuid references projects (id) on delete restrict,
      notes text,
      uses int not null default 0,
      owner_id uuid not null references users (id),
      revision int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`);
}
