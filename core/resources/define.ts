import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { listQuerySchema } from '../page.ts';
import { nameSchema, uuidSchema } from '../names.ts';

/**
 * What a resource is, as data. The store, the routes, the OpenAPI document and the command line are made from it
 * (docs/decisions/0036-a-resource-is-a-definition.md); CONTRIBUTING.md tells how to add one.
 */

export type Verb = 'view' | 'create' | 'edit' | 'delete' | 'run';

/**
 * Who may, beside whoever is granted it; `shared`: everyone, where its field `visibility` says so, and its owner anyhow.
 */
type Who = 'everyone' | 'owner' | 'shared';

/** What a resource with the rights `shared` has as its field `visibility`. */
export const visibilities = ['shared', 'private'] as const;
export type Visibility = (typeof visibilities)[number];

/** What rights are about: read by `can` and `scopeOf` (core/access.ts) and by nobody else. */
export interface Guarded {
  word: string;
  /** What one may without a grant. A verb that is not named is for those alone who are granted it. */
  may: Readonly<Partial<Record<Verb, Who>>>;
  /** One of these is its owner's alone to see: who may make some sees those that they made, and no others by that. */
  isPrivate: boolean;
  /** How a token that is bound to pools reaches one: by its pool, by being itself, or by nothing. */
  reachedBy: readonly ('pool' | 'token')[];
}

/** How a value is written for people: an instant, a time in milliseconds, a list, how many that has, lines below their label. */
export type ShownAs = 'ago' | 'span' | 'list' | 'count' | 'block';

/** A column of a table, or a line of `describe`. Paths and no functions, so that another release can be told of it. */
export interface Shown {
  label: string;
  /** `name`, `pool.key`, `members.name`: into the object as the API sends it; through an array to each of its items. */
  path: string;
  as?: ShownAs;
  /** Instead of `-` where the value is null. */
  none?: string;
  /** Only with `-o wide`. */
  wide?: boolean;
  /** Left out first where a terminal is too narrow. */
  spare?: boolean;
}

export const shown = (label: string, path: string, how: Omit<Shown, 'label' | 'path'> = {}): Shown => ({
  label,
  path,
  ...how,
});

/** What the command line needs to know of a resource, whoever serves it. */
export interface Listed extends Guarded {
  plural: string;
  short: readonly string[];
  about: string;
  /** The field that names one, in paths and on the command line. */
  key: string;
  /** Which calls there are, of `/api/v1/<plural>`. */
  calls: readonly ('list' | 'get' | 'create' | 'replace' | 'change' | 'delete')[];
  /** Fields that a list can be asked for. */
  filters: readonly string[];
  columns: readonly Shown[];
  describe: readonly Shown[];
}

/** What a reference does to its row when what it leads to is deleted; the migration says the same to Postgres. */
type OnDelete = 'refuse' | 'clear' | 'cascade';

/** What a reference may lead to: rows that have an owner and a revision, in a table that is called as the plural. */
export interface Referable extends Guarded {
  plural: string;
  key: 'name' | 'id';
  isTombstoned?: boolean;
  fields: Readonly<Record<string, Field>>;
  server?: Readonly<Record<string, z.ZodType>>;
}

export interface Reference {
  to: Referable;
  onDelete: OnDelete;
  /** What one must be allowed to do to the other to refer to it. */
  needs: Verb;
}

/** A field that people write. */
export interface Field {
  schema: z.ZodType;
  /** What an absent one is; undefined: it must be there. */
  fallback?: unknown;
  /** Write-only: in no view, event or log. Absent from a replacement, it is kept. */
  secret?: boolean;
  /** Of a secret one: it is in no column, a hook keeps it elsewhere (`unmask` of core/registry/resources/hooks.ts). */
  sealed?: boolean;
  /** In Postgres jsonb, and not a column of its own kind. */
  json?: boolean;
  /** Text of many kilobytes: a page of a list holds as many as have room in it. */
  long?: boolean;
  /** Shown to who may edit it, and to nobody else. */
  hidden?: boolean;
  /** The audit tells its values, and not only that it changed: for what is no text of people's, and no secret ever. */
  audit?: 'value';
  /** Leads to what can be made only when this one is there: no option of `create`. */
  afterwards?: boolean;
  /** Absent from a replacement, it is kept, as a secret one is: other calls write it too. */
  kept?: boolean;
  /** No column: its resource's hooks write it into a table of its own, and core/registry/resources/apart.ts reads it. */
  apart?: boolean;
  /** Of a list: the option that adds one on a command line, and the members that it writes, with colons between;
   * `numbers` are those in digits. */
  item?: { flag: string; parts: readonly string[]; numbers?: readonly string[] };
  reference?: Reference;
}

export const required = (
  schema: z.ZodType,
  how: Pick<Field, 'secret' | 'json' | 'long' | 'hidden' | 'audit'> = {},
): Field => ({
  schema,
  ...how,
});

export const optional = (
  schema: z.ZodType,
  fallback: unknown,
  how: Pick<
    Field,
    'secret' | 'sealed' | 'json' | 'long' | 'hidden' | 'item' | 'apart' | 'kept' | 'afterwards' | 'audit'
  > = {},
): Field => ({ schema, fallback, ...how });

/** What names one of another resource, or null. In Postgres it is that one's id, in the column `<field>_id`. */
export function reference(to: Referable, how: Omit<Reference, 'to'>): Field {
  return {
    schema: keySchema(to).nullable(),
    fallback: null,
    audit: 'value',
    reference: { to, ...how },
  };
}

/** The same, where there must be one. */
export const requiredReference = (to: Referable, how: Omit<Reference, 'to'>): Field => ({
  schema: keySchema(to),
  audit: 'value',
  reference: { to, ...how },
});

interface Declared {
  word: string;
  /** Also the name of its table. */
  plural: string;
  short: readonly string[];
  about: string;
  /** `name`: people choose it, for good. `id`: it is given one, and answers to its name too where that is the only one. */
  key: 'name' | 'id';
  /** With key `name`, what a name may be, where that is not what names of llms may be. */
  naming?: z.ZodType<string>;
  /** In the order in which they are shown. */
  fields: Readonly<Record<string, Field>>;
  /** What the server keeps besides id, owner, revision and the two instants. */
  server?: Readonly<Record<string, z.ZodType>>;
  /** What an overlay lays over each where it is shown (edge/resources/overlay.ts), and no row has. */
  derived?: Readonly<Record<string, z.ZodType>>;
  /** How a token that is bound to pools reaches one; not at all, unless told. */
  reachedBy?: Guarded['reachedBy'];
  /** Fields that no two have alike; with key `name`, the name is. */
  unique?: readonly string[];
  filters: readonly string[];
  may: Guarded['may'];
  /** A deleted one stays, with `deleted_at` and another name, for what refers to it. */
  isTombstoned?: boolean;
  /** What is its own can be handed to another of its kind when one is deleted. */
  isHandedOver?: boolean;
  /** Whoever may change one may give it another name: what refers to it knows its id. */
  isRenamed?: boolean;
  /** How many one user may have, and how many there may be; MCPCTL_QUOTAS says otherwise. */
  quota: { user: number; all: number };
  /** What is answered where there is none. */
  missing: ErrorCode;
  columns: readonly Shown[];
  describe: readonly Shown[];
  /** Whether a backup has it; what it refers to comes before it. */
  backup: 'with' | 'without';
  /** A body that makes one: for the document, and for tests. */
  example: Readonly<Record<string, unknown>>;
}

interface Schemas {
  /** Body of POST; strict, as all that people send. */
  create: z.ZodObject;
  /** Body of PUT: the whole truth, an absent field is its fallback. */
  replace: z.ZodObject;
  /** Body of PATCH. */
  change: z.ZodObject;
  query: z.ZodObject;
  view: z.ZodObject;
}

/** A resource that the generic store keeps and the generic routes serve. */
export interface Definition extends Omit<Declared, 'reachedBy'>, Listed {
  key: 'name' | 'id';
  schemas: Schemas;
}

/** A resource that people write as any other, whose rows have a store of their own, with quotas of its own; others may refer to it. */
export interface KeptApart extends Listed, Referable, Pick<Definition, 'missing' | 'example'> {
  key: 'name' | 'id';
  schemas: Schemas;
  /** Words of what is made before it, beside what its references lead to. */
  behind: readonly string[];
}

/** The schema of what names one. */
export const keySchema = ({
  key,
  naming = nameSchema,
}: Pick<Declared, 'key' | 'naming'>): z.ZodType<string> => (key === 'name' ? naming : uuidSchema);

export function defineResource(declared: Declared): Definition {
  return {
    isPrivate: declared.may.view === 'owner' || declared.may.view === 'shared',
    reachedBy: [],
    ...declared,
    calls: ['list', 'get', 'create', 'replace', 'change', 'delete'],
    schemas: schemasOf(declared),
  };
}

function schemasOf({
  word,
  key,
  fields,
  server = {},
  derived = {},
  filters,
  isRenamed = false,
}: Declared): Schemas {
  const each = (of: (field: Field) => z.ZodType | undefined): Record<string, z.ZodType> =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([name, field]) => {
        const schema = of(field);
        return schema ? [[name, schema]] : [];
      }),
    );
  const create = z.strictObject(
    each(({ schema, fallback }) => (fallback === undefined ? schema : schema.optional())),
  );
  // A secret that is absent is kept: nobody who changes the rest has it to send.
  const kept = z.strictObject({
    ...create.shape,
    ...each(({ schema, secret }) => (secret ? schema.optional() : undefined)),
  });
  const replace = key === 'name' ? kept.omit({ name: true }) : kept;
  const view = z.object({
    id: uuidSchema,
    ...each(({ schema, secret, hidden }) => (secret ? undefined : hidden ? schema.optional() : schema)),
    ...server,
    ...derived,
    ownerId: z.string(),
    owner: z.string(),
    revision: z.number(),
    createdAt: z.string(),
    updatedAt: z.string(),
  });
  const asked = filters.map((name): [string, z.ZodType] => [name, z.string().max(256).optional()]);
  return {
    create,
    replace,
    change: (isRenamed ? kept : replace).partial(),
    query: listQuerySchema.extend(Object.fromEntries(asked)),
    view: view.meta({ id: `${word.charAt(0).toUpperCase()}${word.slice(1)}` }),
  };
}

/** Query of a deletion: of a dry one nothing is deleted, and what would go is said. */
export const deleteQuerySchema = z.strictObject({ dryRun: z.enum(['true', 'false']).default('false') });

const countedSchema = z.array(z.object({ resource: z.string(), count: z.number() }));

/** What goes with one that is deleted, and what stays without it. */
export const takenViewSchema = z.object({
  resource: z.string(),
  name: z.string(),
  deletes: countedSchema,
  clears: countedSchema,
});
export type TakenView = z.infer<typeof takenViewSchema>;

/** Of the deletion of what can be handed over. */
export const handOverQuerySchema = deleteQuerySchema.extend({
  /** Who gets what was theirs, by name. */
  transferTo: z.string().min(1).max(63).optional(),
});

/** The last lines of `describe`, of every resource alike. */
export const ownership: readonly Shown[] = [
  shown('Owner', 'owner'),
  shown('Revision', 'revision'),
  shown('Created', 'createdAt', { as: 'ago' }),
  shown('Updated', 'updatedAt', { as: 'ago' }),
  shown('ID', 'id'),
];
