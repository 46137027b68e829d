import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { can, type Actor } from '../../access.ts';
import { changesOf } from '../../audit/changes.ts';
import { McpctlError } from '../../errors.ts';
import { keySchema, type Definition, type Verb } from '../../resources/define.ts';
import { didYouMean, nearest } from '../../runtime/nearest.ts';
import { record } from '../audit/record.ts';
import { canonical } from '../canonical.ts';
import type { Connection } from '../database/connect.ts';
import { inTransaction } from '../database/in-transaction.ts';
import { lockUser } from '../names/quotas.ts';
import type { Hooks } from './hooks.ts';
import { checkUnique } from './unique.ts';
import { checkQuota } from './quota.ts';
import { checkUnused, referredTo } from './references.ts';
import { takenWith, type Taken } from './taken.ts';
import {
  columnOf,
  findAlike,
  findRow,
  listRows,
  namesAround,
  parseRow,
  selectRows,
  targetOf,
  type Asked,
  type Made,
  type ResourceRow,
  type Values,
} from './rows.ts';

/** Who writes, and the revision they have seen (`If-Match`); null = any. */
export interface By {
  actor: Actor;
  ifMatch: number | null;
  /** Of what comes from elsewhere, where it is made: who may make another's is asked. */
  as?: Made;
}

export interface Written {
  row: ResourceRow;
  created: boolean;
  /** The names of the fields that are not as they were; none: nothing was written. */
  changed: readonly string[];
}

/**
 * The rows of one resource. Each call asks for the actor's rights itself, a write inside its own transaction: what may
 * not be seen is as if it were not there. Values have passed the definition's schemas.
 */
export interface ResourceStore {
  list(asked: Asked): Promise<{ rows: ResourceRow[]; more: boolean }>;
  /** @throws McpctlError the definition's `missing`, with what is near. */
  get(asked: string, actor: Actor): Promise<ResourceRow>;
  /** @throws McpctlError `forbidden`, `name_taken`, `quota_exceeded`, `invalid_request` for a reference. */
  create(values: Values, actor: Actor): Promise<Written>;
  /** The values are the whole truth. Where people choose names, what is not there is made. */
  replace(asked: string, values: Values, by: By): Promise<Written>;
  change(asked: string, values: Values, by: By): Promise<Written>;
  /** @throws McpctlError `in_use` besides. */
  delete(
    asked: string,
    by: By & { transferTo?: string | undefined; dryRun?: boolean },
  ): Promise<ResourceRow & { taken: Taken | null }>;
  /** Before anything is read for `put`: takes the turns that its writes take. @returns who the actor is behind that. */
  enter(trx: Knex.Transaction, actor: Actor): Promise<Actor>;
  /**
   * Within somebody's transaction: makes one, or makes the one that is there so, by its name, or by what no two have alike.
   * The values are the whole truth. @throws as `create` and `replace`.
   */
  put(trx: Knex.Transaction, values: Values, by: By): Promise<Written>;
  /**
   * Within somebody's transaction: deletes the one that `put` of the same values would change, or the one of that id.
   * @throws McpctlError as `delete`.
   */
  drop(trx: Knex.Transaction, which: { values: Values } | { id: string }, actor: Actor): Promise<ResourceRow>;
  /** After the last `put` of a transaction: refuses what must be true of all that was written. @throws McpctlError */
  leave(trx: Knex.Transaction): Promise<void>;
}

export interface StoreDeps {
  connection: Connection;
  /** Those whose rows may refer to these. */
  all: readonly Definition[];
  quota: Definition['quota'];
  hooks: Hooks;
}

export function createResourceStore(definition: Definition, deps: StoreDeps): ResourceStore {
  const { db } = deps.connection;
  const write = { definition, ...deps };
  const entered = async (trx: Knex.Transaction, actor: Actor): Promise<Actor> =>
    (await deps.hooks.enter?.(trx, actor)) ?? actor;
  const leave = async (trx: Knex.Transaction): Promise<void> => deps.hooks.leave?.(trx);
  const writing = <T>(work: (trx: Knex.Transaction) => Promise<T>, dryRun = false): Promise<T> =>
    inTransaction(deps.connection, { dryRun }, async (trx) => {
      const made = await work(trx);
      await leave(trx);
      return made;
    });
  return {
    list: (asked) => listRows(db, definition, asked),
    async get(asked, actor) {
      const row = await findRow(db, definition, { actor, asked });
      return row ?? (await refuseMissing(db, definition, { actor, asked }));
    },
    create: (values, by) =>
      writing(async (trx) => insert(trx, write, { values, actor: await entered(trx, by) })),
    replace: (asked, values, { actor: by, ifMatch }) =>
      writing(async (trx) => {
        const actor = await entered(trx, by);
        const row = await findRow(trx, definition, { actor, asked, hold: 'to write' });
        if (row) return update(trx, write, { row, values: replacing(definition, values), actor, ifMatch });
        const mayBeMade = definition.key === 'name' && keySchema(definition).safeParse(asked).success;
        if (!mayBeMade) return refuseMissing(trx, definition, { actor, asked });
        if (ifMatch !== null) throw new McpctlError('stale_revision');
        return insert(trx, write, { values: { name: asked, ...values }, actor });
      }),
    change: (asked, values, { actor: by, ifMatch }) =>
      writing(async (trx) => {
        const actor = await entered(trx, by);
        const row = await locked(trx, definition, { actor, asked });
        return update(trx, write, { row, values, actor, ifMatch });
      }),
    delete: (asked, { actor: by, ifMatch, transferTo, dryRun = false }) =>
      writing(async (trx) => {
        const actor = await entered(trx, by);
        const row = await locked(trx, definition, { actor, asked });
        checkRevision(row, ifMatch);
        const taken = dryRun ? await takenWith(trx, definition, { row, all: deps.all }) : null;
        await drop(trx, write, { row, actor, transferTo });
        return { ...row, taken };
      }, dryRun),
    enter: entered,
    leave,
    put: (trx, values, by) => put(trx, write, { values, ...by }),
    drop: async (trx, which, actor) =>
      drop(trx, write, { row: await lockedOf(trx, definition, { which, actor }), actor }),
  };
}

async function put(
  trx: Knex.Transaction,
  writing: Writing,
  { values, actor, ifMatch, as = {} }: By & { values: Values },
): Promise<Written> {
  const row = await findAlike(trx, writing.definition, { actor, values, ownerId: as.ownerId });
  if (!row && ifMatch !== null) throw new McpctlError('stale_revision');
  if (!row) return insert(trx, writing, { values, actor, as });
  await writing.hooks.declare?.(trx, row);
  return update(trx, writing, { row, values: replacing(writing.definition, values), actor, ifMatch });
}

/** The row is locked by the caller. */
async function drop(
  trx: Knex.Transaction,
  { definition, all, hooks }: Writing,
  { row, actor, transferTo }: { row: ResourceRow; actor: Actor; transferTo?: string | undefined },
): Promise<ResourceRow> {
  need(definition, { actor, verb: 'delete', row });
  await checkUnused(trx, definition, { row, all });
  await hooks.admit?.(trx, { id: row.id, row, asked: null, actor });
  await remove(trx, definition, row);
  await hooks.after?.(trx, { before: row, row: null, asked: null, actor, transferTo });
  await record(trx, actor, { verb: 'delete', ...about(definition, row) });
  return row;
}

type Writing = StoreDeps & { definition: Definition };

/** What stays for what refers to it is called what nobody can be. */
async function remove(
  trx: Knex.Transaction,
  { plural, isTombstoned = false }: Definition,
  { id, values }: ResourceRow,
): Promise<void> {
  const row = trx(plural).where({ id });
  if (!isTombstoned) await row.delete();
  else await row.update({ name: `${String(values['name'])}~${id}`, deletedAt: trx.fn.now() });
}

async function refuseMissing(
  db: Knex,
  definition: Definition,
  { actor, asked }: { actor: Actor; asked: string },
): Promise<never> {
  const { word, missing, fields } = definition;
  const names = await namesAround(db, definition, { actor, asked });
  if (fields['name']?.schema.safeParse(asked).success !== true) throw new McpctlError(missing);
  if (names.includes(asked))
    throw new McpctlError(missing, `Several ${definition.plural} are named '${asked}': say which by its id.`);
  const near = nearest(asked, names);
  throw new McpctlError(missing, `There is no ${word} named '${asked}'.${didYouMean(near)}`);
}

async function locked(
  trx: Knex.Transaction,
  definition: Definition,
  wanted: { actor: Actor; asked: string },
): Promise<ResourceRow> {
  const row = await findRow(trx, definition, { ...wanted, hold: 'to write' });
  return row ?? (await refuseMissing(trx, definition, wanted));
}

/** @throws McpctlError `forbidden`. @param row null: one that is to be made. */
function need(
  definition: Definition,
  {
    actor,
    verb,
    row,
    name,
    ownerId,
  }: { actor: Actor; verb: Verb; row: ResourceRow | null; name?: unknown; ownerId?: string | undefined },
): void {
  const made = { ...(typeof name === 'string' && { name }), ...(ownerId !== undefined && { ownerId }) };
  const target = row ? targetOf(row) : made;
  if (can(actor, verb, { resource: definition, target })) return;
  const which = row ? `the ${definition.word} '${labelOf(row)}'` : definition.plural;
  throw new McpctlError('forbidden', `Your token may not ${verb} ${which}.`);
}

/** What people call it. */
export const labelOf = ({ id, values }: ResourceRow): string =>
  typeof values['name'] === 'string' ? values['name'] : id;

/** What the audit calls one. */
const about = ({ word }: Definition, row: ResourceRow) => ({
  resource: word,
  id: row.id,
  name: labelOf(row),
  ownerId: row.ownerId === '' ? null : row.ownerId,
});

function checkRevision({ revision }: ResourceRow, ifMatch: number | null): void {
  if (ifMatch !== null && revision !== ifMatch) throw new McpctlError('stale_revision');
}

/** With what is absent as its fallback. A name that is a key is not written again. */
function wholeOf({ fields, key }: Definition, values: Values): Values {
  const whole = Object.entries(fields).map(([name, { fallback }]) => [
    name,
    values[name] ?? fallback ?? null,
  ]);
  return Object.fromEntries(whole.filter(([name]) => !(key === 'name' && name === 'name'))) as Values;
}

/** The same without what is kept where it is absent. */
function replacing(definition: Definition, values: Values): Values {
  const isKept = (name: string): boolean => {
    const { secret = false, kept = false } = definition.fields[name] ?? {};
    return (secret || kept) && values[name] === undefined;
  };
  return Object.fromEntries(Object.entries(wholeOf(definition, values)).filter(([name]) => !isKept(name)));
}

/** Values as columns; references among them are the ids of what they lead to. */
function columnsOf(
  { fields }: Definition,
  values: Values,
  ids: Readonly<Record<string, string | null>>,
): Record<string, unknown> {
  const written = Object.entries(values).filter(([name]) => !fields[name]?.apart && !fields[name]?.sealed);
  const columns = written.map(([name, value]) => {
    const field = fields[name];
    if (!field) return [name, value];
    const stored = field.reference ? (ids[name] ?? null) : value;
    return [columnOf(name, field), field.json ? JSON.stringify(stored) : stored];
  });
  return Object.fromEntries(columns) as Record<string, unknown>;
}

async function byId(trx: Knex.Transaction, definition: Definition, id: string): Promise<ResourceRow> {
  const [row] = (await selectRows(trx, definition).where(`${definition.plural}.id`, id)) as unknown[];
  return parseRow(definition, row);
}

async function lockedOf(
  trx: Knex.Transaction,
  definition: Definition,
  { which, actor }: { which: { values: Values } | { id: string }; actor: Actor },
): Promise<ResourceRow> {
  if ('values' in which) {
    const row = await findAlike(trx, definition, { actor, values: which.values });
    if (row) return row;
  } else {
    const { plural } = definition;
    const query = selectRows(trx, definition).where(`${plural}.id`, which.id).forUpdate(plural);
    const [row] = (await query) as unknown[];
    if (row !== undefined) return parseRow(definition, row);
  }
  throw new McpctlError(definition.missing);
}

async function insert(
  trx: Knex.Transaction,
  { definition, hooks, quota }: Writing,
  { values, actor, as = {} }: { values: Values; actor: Actor; as?: Made },
): Promise<Written> {
  const wanted = { actor, row: null, name: values['name'], ownerId: as.ownerId };
  need(definition, { ...wanted, verb: 'create' });
  // To make another's is to change what they have.
  if (as.ownerId !== undefined && as.ownerId !== actor.userId) need(definition, { ...wanted, verb: 'edit' });
  const user = await lockUser(trx, actor.userId);
  const whole = { ...values, ...wholeOf(definition, values) };
  const id = as.id ?? v7();
  const ownerId = as.isItsOwn === true ? id : (as.ownerId ?? actor.userId);
  const more = await hooks.admit?.(trx, { id, row: null, asked: whole, actor });
  const ids = await referredTo(trx, definition, { values: whole, actor });
  const columns = { ...columnsOf(definition, whole, ids), ...more };
  await checkUnique(trx, definition, { columns, id, ownerId });
  await trx(definition.plural).insert({ id, ownerId, ...columns });
  await checkQuota(trx, definition, { user, quota });
  const row = await byId(trx, definition, id);
  await hooks.after?.(trx, { before: null, row, asked: whole, actor });
  const names = Object.keys(values);
  const changes = changesOf(definition, { names, before: null, after: row.values });
  await record(trx, actor, { verb: 'create', ...about(definition, row), changes });
  return { row, created: true, changed: names };
}

async function update(
  trx: Knex.Transaction,
  { definition, hooks }: Writing,
  { row, values, actor, ifMatch }: By & { row: ResourceRow; values: Values },
): Promise<Written> {
  need(definition, { actor, verb: 'edit', row });
  checkRevision(row, ifMatch);
  const unmasked = (await hooks.unmask?.(trx, { row, values, actor })) ?? values;
  const differing = Object.entries(unmasked).filter(
    ([name, value]) => canonical(value ?? null) !== canonical(row.values[name]),
  );
  if (differing.length === 0) return { row, created: false, changed: [] };
  const asked: Values = Object.fromEntries(differing);
  const more = await hooks.admit?.(trx, { id: row.id, row, asked, actor });
  const ids = await referredTo(trx, definition, { values: asked, actor });
  const columns = { ...columnsOf(definition, asked, ids), ...more };
  const { plural, unique = ['name'] } = definition;
  if (unique.some((name) => name in asked)) {
    const all = { ...columnsOf(definition, row.values, row.refersTo), ...columns };
    await checkUnique(trx, definition, { columns: all, id: row.id, ownerId: row.ownerId });
  }
  const revised = { ...columns, revision: row.revision + 1, updatedAt: trx.fn.now() };
  await trx(plural).where({ id: row.id }).update(revised);
  const now = await byId(trx, definition, row.id);
  await hooks.after?.(trx, { before: row, row: now, asked, actor });
  const names = Object.keys(asked);
  const changes = changesOf(definition, { names, before: row.values, after: now.values });
  await record(trx, actor, { verb: 'edit', ...about(definition, now), changes });
  return { row: now, created: false, changed: names };
}
