import type { Knex } from 'knex';
import { canToAll, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';

/** What one user may have. A set that holds nothing is gone. */
const MOST_SETS = 100;

/** One thing of a set. */
export interface Managed {
  resource: string;
  id: string;
  name: string;
}

export const keyOf = ({ resource, id }: Pick<Managed, 'resource' | 'id'>): string => `${resource}/${id}`;

/**
 * Makes a set, or takes it up: whose it is, and who rules over grants. It is locked to the end.
 * @throws McpctlError `forbidden`, `quota_exceeded`
 */
export async function enterSet(trx: Knex.Transaction, name: string, actor: Actor): Promise<void> {
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    'insert into apply_sets (name, owner_id) values (:name, :ownerId) on conflict (name) do nothing',
    { name, ownerId: actor.userId },
  );
  const set = await trx('applySets').where({ name }).forUpdate().first<{ ownerId: string }>('ownerId');
  if (set.ownerId !== actor.userId && !canToAll(actor, 'edit', 'rbac'))
    throw new McpctlError('forbidden', `The set '${name}' is another user's; choose another name.`);
  if (rowCount !== 1) return;
  const { rows } = await trx.raw<{ rows: { count: number }[] }>(
    'select count(*)::int as count from apply_sets where owner_id = :ownerId',
    { ownerId: actor.userId },
  );
  if ((rows[0]?.count ?? 0) > MOST_SETS)
    throw new McpctlError(
      'quota_exceeded',
      `You would have more than ${MOST_SETS} sets; prune one that is no more.`,
    );
}

/** What of these is another set's, with its name, by `keyOf`. */
export async function othersOf(
  trx: Knex.Transaction,
  set: string,
  things: readonly Managed[],
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await trx.raw<{ rows: { resource: string; resourceId: string; setName: string }[] }>(
    `select m.resource, m.resource_id, m.set_name from managed m
       join unnest(cast(:words as text[]), cast(:ids as text[])) asked (resource, id)
         on asked.resource = m.resource and asked.id = m.resource_id
     where m.set_name <> :set`,
    { set, words: things.map(({ resource }) => resource), ids: things.map(({ id }) => id) },
  );
  return new Map(rows.map(({ resource, resourceId: id, setName }) => [keyOf({ resource, id }), setName]));
}

/** They are this set's from now on, whose they were is asked before. */
export async function adopt(trx: Knex.Transaction, set: string, things: readonly Managed[]): Promise<void> {
  if (things.length === 0) return;
  await trx.raw(
    `insert into managed (resource, resource_id, set_name, name)
       select resource, id, :set, name from
         unnest(cast(:words as text[]), cast(:ids as text[]), cast(:names as text[])) t (resource, id, name)
       on conflict (resource, resource_id) do update set name = excluded.name where managed.name <> excluded.name`,
    {
      set,
      words: things.map(({ resource }) => resource),
      ids: things.map(({ id }) => id),
      names: things.map(({ name }) => name),
    },
  );
}

/** What a set has applied, but for what is gone by now: of that nothing is kept. */
export async function membersOf(
  trx: Knex.Transaction,
  set: string,
  tables: ReadonlyMap<string, string>,
): Promise<Managed[]> {
  const rows = await trx('managed')
    .where({ setName: set })
    .orderBy(['resource', 'name', 'resourceId'])
    .select<{ resource: string; resourceId: string; name: string }[]>('resource', 'resourceId', 'name');
  const there: Managed[] = [];
  const gone: Managed[] = [];
  for (const [resource, table] of tables) {
    const own = rows.flatMap((row): Managed[] =>
      row.resource === resource ? [{ resource, id: row.resourceId, name: row.name }] : [],
    );
    if (own.length === 0) continue;
    const idColumn = table === 'pools' ? 'key' : 'id';
    const query = trx(table).whereRaw('??::text = any(?)', [idColumn, own.map(({ id }) => id)]);
    if (resource === 'user') query.whereNull('deletedAt');
    const left = await query.select<{ id: string }[]>(trx.raw('??::text as id', [idColumn]));
    const ids = new Set(left.map(({ id }) => id));
    for (const one of own) (ids.has(one.id) ? there : gone).push(one);
  }
  await forget(trx, gone);
  return there;
}

/** They are no set's any more. */
export async function forget(
  trx: Knex.Transaction,
  things: readonly Pick<Managed, 'resource' | 'id'>[],
): Promise<void> {
  if (things.length === 0) return;
  await trx.raw(
    `delete from managed m using unnest(cast(:words as text[]), cast(:ids as text[])) gone (resource, id)
       where m.resource = gone.resource and m.resource_id = gone.id`,
    { words: things.map(({ resource }) => resource), ids: things.map(({ id }) => id) },
  );
}

/** A set that holds nothing is given up. */
export const leaveSet = async (trx: Knex.Transaction, name: string): Promise<void> =>
  void (await trx.raw(
    'delete from apply_sets s where name = :name and not exists (select 1 from managed where set_name = s.name)',
    { name },
  ));
