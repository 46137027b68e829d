import type { Knex } from 'knex';
import type { Grant } from '../../access/grants.ts';
import { unnamed } from '../../access/standing.ts';
import { stored } from '../../resources/index.ts';

/** How to ask whether there is one of that name: of what is asked for by names at all (core/access/standing.ts has the rest). */
const there: Readonly<Record<string, string>> = {
  llm: 'select name from llms',
  pool: 'select key from pools union all select pool_key from llms',
  ...Object.fromEntries(unnamed.map((word) => [word, "select '' where false"])),
  ...Object.fromEntries(
    stored
      .filter(({ fields }) => Object.hasOwn(fields, 'name'))
      .map(({ word, plural, isTombstoned }) => [
        word,
        `select name from ${plural}${isTombstoned === true ? ' where deleted_at is null' : ''}`,
      ]),
  ),
};

/**
 * Grants of something by name that is not there, or has none; whoever makes one of that name later is not whom they were meant
 * for.
 */
export async function danglingOf(db: Knex, grants: readonly Grant[]): Promise<Grant[]> {
  // What may be made need not be there.
  const named = grants.filter(
    ({ role, resource, name }) => name !== null && (role !== 'create' || unnamed.includes(resource)),
  );
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
