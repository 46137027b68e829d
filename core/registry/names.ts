import type { Knex } from 'knex';
import { McpctlError } from '../errors.ts';
import { nearest } from '../runtime/nearest.ts';
import type { Connection } from './connect.ts';

/** What a caller's `model` leads to. */
interface Resolved {
  poolKey: string;
  /** The llm meant; null when a pool was asked for. */
  llm: string | null;
  via: 'name' | 'pool' | 'alias';
}

export interface Names {
  /** SPEC §2: name, pool key, alias, in this order; undefined when nothing is called so. */
  resolve(asked: string): Promise<Resolved | undefined>;
  /** Names, aliases and pool keys close to `asked`, nearest first: "did you mean". */
  similar(asked: string): Promise<string[]>;
}

/** Enough for every installation we know of; suggestions beyond it are merely missed. */
const SUGGEST_FROM = 5_000;

const resolveSql = `
  select pool_key, llm, via from (
    select 1 as rank, pool_key, name as llm, 'name' as via from llms where name = :asked
    union all
    (select 2, pool_key, null, 'pool' from llms where pool_key = :asked limit 1)
    union all
    select 3, llms.pool_key, llms.name, 'alias'
      from names join llms on llms.id = names.id
      where names.name = :asked and names.resource = 'alias'
  ) found order by rank limit 1`;

export function createNames({ db }: Connection): Names {
  return {
    async resolve(asked) {
      const { rows } = await db.raw<{ rows: Resolved[] }>(resolveSql, { asked });
      return rows[0];
    },
    async similar(asked) {
      const { rows } = await db.raw<{ rows: { name: string }[] }>(
        `(select name from names limit :most) union (select distinct pool_key from llms limit :most)`,
        { most: SUGGEST_FROM },
      );
      return nearest(
        asked,
        rows.map((row) => row.name),
      );
    },
  };
}

/**
 * Enters an llm's name and aliases, sorted so that two transactions never wait for each other crosswise.
 * @throws McpctlError `name_taken` when one is there already.
 */
export async function takeNames(
  trx: Knex.Transaction,
  taken: readonly { name: string; resource: 'llm' | 'alias'; id: string }[],
): Promise<void> {
  if (taken.length === 0) return;
  const sorted = [...taken].sort((a, b) => (a.name < b.name ? -1 : 1));
  const there = await trx('names')
    .whereIn(
      'name',
      sorted.map((entry) => entry.name),
    )
    .select<{ name: string }[]>('name');
  const first = there[0] ?? sorted.find((entry, at) => sorted[at + 1]?.name === entry.name);
  if (first) throw new McpctlError('name_taken', `The name '${first.name}' is taken.`);
  // Somebody quicker makes this a unique violation, and the transaction runs again.
  await trx('names').insert(sorted);
}

/** Sets an llm's aliases to exactly these. */
export async function replaceAliases(
  trx: Knex.Transaction,
  llm: { id: string; aliases: readonly string[] },
): Promise<void> {
  await trx('names').where({ id: llm.id, resource: 'alias' }).delete();
  await takeNames(
    trx,
    llm.aliases.map((name) => ({ name, resource: 'alias' as const, id: llm.id })),
  );
}
