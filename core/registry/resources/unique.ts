import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { withArticle } from '../../text/article.ts';
import { columnOf } from './rows.ts';

/**
 * No two with the same values of what is unique; where all references among these lead nowhere, none of the same owner. Whoever is quicker than this look makes the insert a unique violation, and the transaction runs again.
 * @throws McpctlError `name_taken`
 */
export async function checkUnique(
  trx: Knex.Transaction,
  { fields, plural, word, unique = ['name'] }: Definition,
  { columns, id, ownerId }: { columns: Readonly<Record<string, unknown>>; id: string; ownerId: string },
): Promise<void> {
  const query = trx(plural).whereNot({ id }).limit(1).select('id');
  let [refers, leads] = [false, false];
  for (const name of unique) {
    const field = fields[name];
    const column = field ? columnOf(name, field) : name;
    const value = columns[column];
    const isThere = typeof value === 'string' || typeof value === 'number';
    if (isThere) query.where(column, value);
    else query.whereNull(column);
    refers ||= field?.reference !== undefined;
    leads ||= field?.reference !== undefined && isThere;
  }
  if (refers && !leads) query.where({ ownerId });
  const others: unknown[] = await query;
  if (others.length > 0)
    throw new McpctlError(
      'name_taken',
      `There is ${withArticle(word)} of that ${unique.join(' and ')} already.`,
    );
}
