import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { changesOf } from '../../audit/changes.ts';
import { McpctlError } from '../../errors.ts';
import { keySchema, type Definition } from '../../resources/define.ts';
import { didYouMean, nearest } from '../../runtime/nearest.ts';
import { record } from '../audit/record.ts';
import { canonical } from '../canonical.ts';
import { inTransaction } from '../database/in-transaction.ts';
import { insert, insertMany, type New } from './insert.ts';
import { checkUnique } from './unique.ts';
import { checkUnused, referredTo } from './references.ts';
import { takenWith, type Taken } from './taken.ts';
import {
  about,
  byId,
  columnsOf,
  need,
  wholeOf,
  type By,
  type StoreDeps,
  type Writing,
  type Written,
} from './writing.ts';
import {
  findAlike,
  findRow,
  listRows,
  namesAround,
  parseRow,
  selectRows,
  type Asked,
  type ResourceRow,
  type Values,
} from './rows.ts';

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
  /** The same of many that are not there: to be undone where it throws, and put one by one. @throws as `insertMany` */
  putNew(trx: Knex.Transaction, news: readonly New[], actor: Actor): Promise<Written[]>;
  /**
   * Within somebody's transaction: deletes the one that `put` of the same values would change, or the one of that id.
   * @throws McpctlError as `delete`.
   */
  drop(trx: Knex.Transaction, which: { values: Values } | { id: string }, actor: Actor): Promise<ResourceRow>;
  /** After the last `put` of a transaction: refuses what must be true of all that was written. @throws McpctlError */
  leave(trx: Knex.Transaction): Promise<void>;
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
    putNew: (trx, news, actor) => insertMany(trx, write, { news, actor }),
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

function checkRevision({ revision }: ResourceRow, ifMatch: number | null): void {
  if (ifMatch !== null && revision !== ifMatch) throw new McpctlError('stale_revision');
}

/** The same without what is kept where it is absent. */
function replacing(definition: Definition, values: Values): Values {
  const isKept = (name: string): boolean => {
    const { secret = false, kept = false } = definition.fields[name] ?? {};
    return (secret || kept) && values[name] === undefined;
  };
  return Object.fromEntries(Object.entries(wholeOf(definition, values)).filter(([name]) => !isKept(name)));
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
