import type { Knex } from 'knex';
import { z } from 'zod';
import { scopeOf, type Actor, type Scope, type Target } from '../../access.ts';
import { closed } from '../../access/grants.ts';
import { McpctlError } from '../../errors.ts';
import { instantSchema } from '../../newer-words.ts';
import { storedIdSchema } from '../../names.ts';
import { apart } from './apart.ts';
import {
  visibilities,
  type Definition,
  type Field,
  type Referable,
  type Reference,
  type Visibility,
} from '../../resources/define.ts';

/** Values of fields by their names, as people write and read them: a reference is what names the other. */
export type Values = Readonly<Record<string, unknown>>;

/** One of a resource. */
export interface ResourceRow {
  id: string;
  ownerId: string;
  /** The owner's name. */
  owner: string;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
  /** What people wrote, and what the server keeps besides. */
  values: Values;
  /** The ids of what it refers to, by the names of the fields. */
  refersTo: Readonly<Record<string, string | null>>;
}

const rowSchema = z.looseObject({
  id: z.string(),
  // Of what is built in nobody is the owner.
  ownerId: z.string().nullable(),
  owner: z.string().nullable(),
  revision: z.number(),
  createdAt: instantSchema,
  updatedAt: instantSchema,
});

const idSchema = z.string().nullable();

/** What one is made with that comes from elsewhere. `isItsOwn`: a user who is whose they are. */
export interface Made {
  id?: string | undefined;
  ownerId?: string | undefined;
  isItsOwn?: boolean;
}
export interface Asked {
  actor: Actor;
  /** By the names of the definition's filters. For a reference an empty text means none. */
  filters: Readonly<Record<string, string | undefined>>;
  after: string | undefined;
  limit: number;
}

/** Of the long texts of a page together. One page has one row at least, however long that is. */
const PAGE_BYTES = 524_288;

export const columnOf = (name: string, { reference }: Field): string => (reference ? `${name}Id` : name);

export function referencesOf({ fields }: Pick<Referable, 'fields'>): [name: string, reference: Reference][] {
  return Object.entries(fields).flatMap(([name, { reference }]): [string, Reference][] =>
    reference ? [[name, reference]] : [],
  );
}

export function parseRow(definition: Referable, row: unknown): ResourceRow {
  const { fields, server = {} } = definition;
  const { id, ownerId, owner, revision, createdAt, updatedAt, ...rest } = rowSchema.parse(row);
  const names = [...Object.keys(fields), ...Object.keys(server)];
  const values = Object.fromEntries(names.map((name) => [name, rest[name] ?? null]));
  const refersTo = Object.fromEntries(
    referencesOf(definition).map(([name]) => [name, idSchema.parse(rest[`${name}Id`])]),
  );
  const ownership = { ownerId: ownerId ?? '', owner: owner ?? '' };
  return { id, ...ownership, revision, createdAt, updatedAt, values, refersTo };
}

const visibilitySchema = z.enum(visibilities);

/** What rights ask of a row. */
export function targetOf({ ownerId, values }: ResourceRow): Target {
  const { data: visibility } = visibilitySchema.safeParse(values['visibility']);
  const { data: name } = z.string().safeParse(values['name']);
  return { ownerId, ...(name !== undefined && { name }), ...(visibility && { visibility }) };
}

/** Rows with the names of their owners, and of what they refer to. */
export function selectRows(db: Knex, definition: Referable): Knex.QueryBuilder {
  const { plural: table } = definition;
  const query = db(table)
    .leftJoin('users as owners', 'owners.id', `${table}.ownerId`)
    .select(`${table}.*`, 'owners.name as owner');
  if (definition.isTombstoned) query.whereNull(`${table}.deletedAt`);
  for (const [name, { to }] of referencesOf(definition))
    query
      .leftJoin(`${to.plural} as ${name}`, `${name}.id`, `${table}.${name}Id`)
      .select(`${name}.${to.key} as ${name}`);
  for (const [name, sql] of Object.entries(apart[table] ?? {})) query.select(db.raw(`${sql} as ??`, [name]));
  return query;
}

/** A scope as SQL. No row lies in a pool here, or is a token: who is held to those sees none. */
function within(query: Knex.QueryBuilder, table: string, scope: Scope): Knex.QueryBuilder {
  const { ownerId, orNames, orShared, pools, tokenId, within: letThrough } = scope;
  if (pools !== null || tokenId !== null) query.whereRaw('false');
  if (letThrough !== null)
    query.where((either) => {
      either.where(`${table}.ownerId`, letThrough.ownerId);
      if (letThrough.names.length > 0) either.orWhereIn(`${table}.name`, [...letThrough.names]);
    });
  if (ownerId === null) return query;
  return query.where((either) => {
    either.where(`${table}.ownerId`, ownerId);
    if (orNames.length > 0) either.orWhereIn(`${table}.name`, [...orNames]);
    if (orShared) either.orWhere(`${table}.visibility`, 'shared' satisfies Visibility);
  });
}

function filtered(query: Knex.QueryBuilder, { fields, plural }: Definition, filters: Asked['filters']): void {
  for (const [name, value] of Object.entries(filters)) {
    const field = fields[name];
    if (value === undefined || !field) continue;
    const column = `${plural}.${columnOf(name, field)}`;
    if (!field.reference) query.where(column, value);
    else if (value === '') query.whereNull(column);
    else query.where(`${name}.${field.reference.to.key}`, value);
  }
}

/** By key. `more`: there are others after these, as many as asked for or too long for one page. */
export async function listRows(
  db: Knex,
  definition: Definition,
  { actor, filters, after, limit }: Asked,
): Promise<{ rows: ResourceRow[]; more: boolean }> {
  const scope = scopeOf(actor, 'view', definition);
  if (!scope && closed.includes(definition.word))
    throw new McpctlError('forbidden', `Your token may not view ${definition.plural}.`);
  if (!scope) return { rows: [], more: false };
  const { plural: table, key, fields } = definition;
  const at = `${table}.${key}`;
  const page = within(selectRows(db, definition), table, scope)
    .orderBy(at)
    .limit(limit + 1);
  filtered(page, definition, filters);
  if (after !== undefined) page.where(at, '>', after);
  const long = Object.keys(fields).filter((name) => fields[name]?.long);
  if (long.length === 0) {
    const rows = (await page) as unknown[];
    return { rows: rows.slice(0, limit).map((row) => parseRow(definition, row)), more: rows.length > limit };
  }
  // Their lengths are told without reading them.
  const lengths = long.map(() => 'coalesce(octet_length(??), 0)').join(' + ');
  const ids = page
    .clone()
    .clearSelect()
    .select([...new Set([`${table}.id`, at])])
    .select(
      db.raw(
        `${lengths} as length`,
        long.map((name) => `${table}.${name}`),
      ),
    );
  const summed = db
    .from(ids.as('page'))
    .select('id', db.raw(`sum(length) over (order by ??) - length as before`, [key]))
    .select(db.raw('count(*) over ()::int as found'));
  const fitting = (await selectRows(db, definition)
    .join(summed.as('page'), 'page.id', `${table}.id`)
    .select('page.found')
    .where('page.before', '<', PAGE_BYTES)
    .orderBy(at)
    .limit(limit)) as unknown[];
  const rows = fitting.map((row) => parseRow(definition, row));
  const { found = 0 } = z
    .looseObject({ found: z.number() })
    .partial()
    .parse(fitting[0] ?? {});
  return { rows, more: found > rows.length };
}

interface Wanted {
  actor: Actor;
  /** What stands in the path: somebody's words. */
  asked: string;
}

/**
 * One by what names it, if it may be seen; by its name also where ids are given, if that is the only one.
 * @param hold keeps the row to the end of the transaction: `to write`, or `to refer`, so that it is not deleted meanwhile.
 */
export async function findRow(
  db: Knex,
  definition: Referable,
  { actor, asked, hold }: Wanted & { hold?: 'to write' | 'to refer' },
): Promise<ResourceRow | undefined> {
  const scope = scopeOf(actor, 'view', definition);
  const { plural: table, fields } = definition;
  const column = definition.key === 'id' && storedIdSchema.safeParse(asked).success ? 'id' : 'name';
  if (!scope || (column === 'name' && fields['name']?.schema.safeParse(asked).success !== true))
    return undefined;
  const query = within(selectRows(db, definition), table, scope).where(`${table}.${column}`, asked).limit(2);
  if (hold === 'to write') query.forUpdate(table);
  if (hold === 'to refer') query.forKeyShare(table);
  const [row, another] = (await query) as unknown[];
  return row === undefined || another !== undefined ? undefined : parseRow(definition, row);
}

/** Those of these names that may be seen, of a resource whose names are keys; held as `findRow` holds one to refer to. */
export async function findRows(
  db: Knex,
  definition: Referable,
  { actor, names }: { actor: Actor; names: readonly string[] },
): Promise<ResourceRow[]> {
  const scope = scopeOf(actor, 'view', definition);
  const { plural: table, key } = definition;
  if (key !== 'name') throw new McpctlError('internal', `${table} are not found by their names alone.`);
  if (!scope || names.length === 0) return [];
  const query = within(selectRows(db, definition), table, scope)
    .whereIn(`${table}.name`, [...names])
    .orderBy(`${table}.name`)
    .forKeyShare(table);
  return ((await query) as unknown[]).map((row) => parseRow(definition, row));
}

/** How one is found by what names it, if it may be seen. */
export type Find = (to: Referable, asked: string) => Promise<ResourceRow | undefined>;

/** The one that values would make once more: of that name where people choose names, else by what no two have alike. */
export async function findAlike(
  trx: Knex.Transaction,
  definition: Definition,
  {
    actor,
    values,
    ownerId = actor.userId,
  }: { actor: Actor; values: Values; /** Whose it would be. */ ownerId?: string | undefined },
): Promise<ResourceRow | undefined> {
  const { plural: table, key, fields, unique = ['name'] } = definition;
  if (key === 'name')
    return findRow(trx, definition, { actor, asked: String(values['name']), hold: 'to write' });
  const scope = scopeOf(actor, 'view', definition);
  if (!scope) return undefined;
  const query = within(selectRows(trx, definition), table, scope).limit(1).forUpdate(table);
  const references = unique.filter((name) => fields[name]?.reference);
  for (const name of unique) {
    const to = fields[name]?.reference?.to;
    const at = to ? `${name}.${to.key}` : `${table}.${name}`;
    const value = values[name] ?? fields[name]?.fallback ?? null;
    if (typeof value === 'string' || typeof value === 'number') query.where(at, value);
    else query.whereNull(at);
  }
  if (references.every((name) => values[name] == null)) query.where(`${table}.ownerId`, ownerId);
  const [row] = (await query) as unknown[];
  return row === undefined ? undefined : parseRow(definition, row);
}

/** On either side of what was asked for, among which the near ones are looked for. */
const NEIGHBOURS = 100;

/** Names in alphabetical order around a word, of those that an actor may see. */
export async function namesAround(
  db: Knex,
  { plural: table, fields, isTombstoned, ...rights }: Definition,
  { actor, asked }: Wanted,
): Promise<string[]> {
  const scope = scopeOf(actor, 'view', rights);
  if (!scope || !fields['name']) return [];
  const side = (compared: '>=' | '<', order: 'asc' | 'desc') =>
    within(db(table).select('name').limit(NEIGHBOURS), table, scope)
      .where('name', compared, asked.slice(0, 63).toLowerCase())
      .whereRaw(isTombstoned ? 'deleted_at is null' : 'true')
      .orderBy('name', order);
  const rows = (await Promise.all([side('>=', 'asc'), side('<', 'desc')])).flat() as unknown[];
  return z
    .array(z.object({ name: z.string() }))
    .parse(rows)
    .map(({ name }) => name);
}
