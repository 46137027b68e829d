import type { Knex } from 'knex';
import type { Grant } from '../../access/grants.ts';
import { stored } from '../../resources/index.ts';

/** Of what has names that are one thing's: how to ask whether there is one of that name. */
const there: Readonly<Record<string, string>> = {
  llm: 'select name from llms',
  pool: 'select key from pools union all select pool_key from llms',
  ...Object.fromEntries(
    stored
      .filter(({ key }) => key === 'name')
      .map(({ word, plural, isTombstoned }) => [
        word,
        `select name from ${plural}${isTombstoned === true ? ' where deleted_at is null' : ''}`,
      ]),
  ),
};

/** Grants of something by name that is not there; whoever makes one of that name later is not whom they were meant for. */
export async function danglingOf(db: Knex, grants: readonly Grant[]): Promise<Grant[]> {
  // What may be made need not be there.
  const named = grants.filter(({ role, name }) => role !== 'create' && name !== null);
  const gone: Grant[] = [];
  for (const [resource, sql] of Object.entries(there)) {
    const of = named.filter((grant) => grant.resource === resource);
    if (of.length === 0) continue;
    const { rows } = await db.raw<{ rows: { name: string }[] }>(
      `select asked.name from unnest(cast(:names as text[])) asked (name)
       where asked.name not in (${sql})`,
      { names: of.map(({ name }) => name ?? '') },
    );
    const missing = new Set(rows.map(({ name }) => name));
    gone.push(...of.filter(({ name }) => missing.has(name ?? '')));
  }
  return gone;
}
