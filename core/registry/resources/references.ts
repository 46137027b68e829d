import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { findRow, referencesOf, targetOf, type Find, type ResourceRow, type Values } from './rows.ts';

/**
 * The ids of what values refer to, by the names of the fields.
 * @throws McpctlError `invalid_request` for what is not there, or may not be seen; `forbidden` for what may be seen only.
 */
export async function referredTo(
  trx: Knex.Transaction,
  definition: Definition,
  {
    values,
    actor,
    find,
  }: {
    values: Values;
    actor: Actor;
    /** How others are found, where many are asked for at once. */ find?: Find;
  },
): Promise<Record<string, string | null>> {
  const ids: Record<string, string | null> = {};
  const faults: Fault[] = [];
  for (const [name, { to, needs }] of referencesOf(definition)) {
    const asked = values[name];
    if (asked === undefined) continue;
    ids[name] = null;
    if (typeof asked !== 'string') continue;
    const other = await (find ? find(to, asked) : findRow(trx, to, { actor, asked, hold: 'to refer' }));
    if (!other) faults.push({ path: name, message: `there is no ${to.word} named '${asked}'` });
    else if (!can(actor, needs, { resource: to, target: targetOf(other) }))
      throw new McpctlError('forbidden', `Your token may not ${needs} the ${to.word} '${asked}'.`);
    else ids[name] = other.id;
  }
  if (faults.length > 0) throw new McpctlError('invalid_request', undefined, { details: faults });
  return ids;
}

/**
 * Asked before a row is deleted, of the references that forbid it; what the others do is the migration's to say.
 * @throws McpctlError `in_use`
 */
export async function checkUnused(
  trx: Knex.Transaction,
  definition: Definition,
  { row, all }: { row: ResourceRow; all: readonly Definition[] },
): Promise<void> {
  for (const other of all) {
    for (const [name, { to, onDelete }] of referencesOf(other)) {
      if (to.word !== definition.word || onDelete !== 'refuse') continue;
      const rows: unknown[] = await trx(other.plural).where(`${name}Id`, row.id).limit(1).select('id');
      if (rows.length > 0)
        throw new McpctlError('in_use', `There are ${other.plural} that refer to this ${definition.word}.`);
    }
  }
}
