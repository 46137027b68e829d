import type { Knex } from 'knex';
import { v7 } from 'uuid';
import type { Actor } from '../../access.ts';
import { changesOf } from '../../audit/changes.ts';
import { McpctlError } from '../../errors.ts';
import { record, recordAll } from '../audit/record.ts';
import { lockUser } from '../names/quotas.ts';
import { checkQuota } from './quota.ts';
import { referredTo } from './references.ts';
import {
  findRows,
  parseRow,
  referencesOf,
  selectRows,
  type Find,
  type Made,
  type ResourceRow,
  type Values,
} from './rows.ts';
import { checkUnique } from './unique.ts';
import { about, byId, columnsOf, need, wholeOf, type Writing, type Written } from './writing.ts';

/** @throws McpctlError `forbidden` */
function needCreate(
  definition: Writing['definition'],
  { values, actor, as }: { values: Values; actor: Actor; as: Made },
): void {
  const wanted = { actor, row: null, name: values['name'], ownerId: as.ownerId };
  need(definition, { ...wanted, verb: 'create' });
  // To make another's is to change what they have.
  if (as.ownerId !== undefined && as.ownerId !== actor.userId) need(definition, { ...wanted, verb: 'edit' });
}

export async function insert(
  trx: Knex.Transaction,
  { definition, hooks, quota }: Writing,
  { values, actor, as = {} }: { values: Values; actor: Actor; as?: Made },
): Promise<Written> {
  needCreate(definition, { values, actor, as });
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

/** One that is not there yet, with what it is to have of where it comes from. */
export interface New {
  values: Values;
  as: Made & { id: string; /** The first, unless told. */ revision?: number };
}

/**
 * Many at once, as `insert` would make each, with one statement where that asks one of each. What is in its way is not looked
 * for before: whoever calls undoes all of it then, and makes each by itself to learn what it was.
 * @throws as `insert`, or Postgres' unique violation.
 */
export async function insertMany(
  trx: Knex.Transaction,
  { definition, hooks, quota }: Writing,
  { news, actor }: { news: readonly New[]; actor: Actor },
): Promise<Written[]> {
  const { plural } = definition;
  for (const one of news) needCreate(definition, { ...one, actor });
  const user = await lockUser(trx, actor.userId);
  const find = await findingReferred(trx, definition, { news, actor });
  const asked = news.map(({ values }) => ({ ...values, ...wholeOf(definition, values) }));
  const columns: Record<string, unknown>[] = [];
  for (const [at, { as }] of news.entries()) {
    const { id, isItsOwn = false, revision = 1 } = as;
    const ownerId = isItsOwn ? id : (as.ownerId ?? actor.userId);
    const whole = asked[at] ?? {};
    const more = await hooks.admit?.(trx, { id, row: null, asked: whole, actor });
    const ids = await referredTo(trx, definition, { values: whole, actor, find });
    columns.push({ id, ownerId, revision, ...columnsOf(definition, whole, ids), ...more });
  }
  await trx(plural).insert(columns);
  await checkQuota(trx, definition, { user, quota });
  const ids = news.map(({ as }) => as.id);
  const found = (await selectRows(trx, definition).whereIn(`${plural}.id`, ids)) as unknown[];
  const rows = new Map(
    found.map((one) => {
      const row = parseRow(definition, one);
      return [row.id, row] as const;
    }),
  );
  const made = news.map(({ values, as: { id } }, at) => {
    const row = rows.get(id);
    if (!row) throw new McpctlError('internal');
    return { row, names: Object.keys(values), whole: asked[at] ?? {} };
  });
  if (hooks.afterNew) {
    const all = made.map(({ row }) => row);
    await hooks.afterNew(trx, all, actor);
  } else
    for (const { row, whole } of made) await hooks.after?.(trx, { before: null, row, asked: whole, actor });
  const events = made.map(({ row, names }) => {
    const changes = changesOf(definition, { names, before: null, after: row.values });
    return { author: actor, what: { verb: 'create' as const, ...about(definition, row), changes } };
  });
  await recordAll(trx, events);
  return made.map(({ row, names }) => ({ row, created: true, changed: names }));
}

/** What the values of many refer to, found with one question for each resource. */
async function findingReferred(
  trx: Knex.Transaction,
  definition: Writing['definition'],
  { news, actor }: { news: readonly New[]; actor: Actor },
): Promise<Find> {
  const found = new Map<string, ResourceRow>();
  for (const [name, { to }] of referencesOf(definition)) {
    const asked = new Set(
      news.flatMap(({ values }) => (typeof values[name] === 'string' ? [values[name]] : [])),
    );
    const rows = await findRows(trx, to, { actor, names: [...asked] });
    for (const row of rows) found.set(`${to.word}/${String(row.values['name'])}`, row);
  }
  return (to, asked) => Promise.resolve(found.get(`${to.word}/${asked}`));
}
