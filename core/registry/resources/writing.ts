import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition, Verb } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import type { Hooks } from './hooks.ts';
import {
  columnOf,
  parseRow,
  selectRows,
  targetOf,
  type Made,
  type ResourceRow,
  type Values,
} from './rows.ts';

/** What every write of a resource's rows does. */

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

export interface StoreDeps {
  connection: Connection;
  /** Those whose rows may refer to these. */
  all: readonly Definition[];
  quota: Definition['quota'];
  hooks: Hooks;
}

export type Writing = StoreDeps & { definition: Definition };

/** @throws McpctlError `forbidden`. @param row null: one that is to be made. */
export function need(
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
export const about = ({ word }: Definition, row: ResourceRow) => ({
  resource: word,
  id: row.id,
  name: labelOf(row),
  ownerId: row.ownerId === '' ? null : row.ownerId,
});

/** With what is absent as its fallback. A name that is a key is not written again. */
export function wholeOf({ fields, key }: Definition, values: Values): Values {
  const whole = Object.entries(fields).map(([name, { fallback }]) => [
    name,
    values[name] ?? fallback ?? null,
  ]);
  return Object.fromEntries(whole.filter(([name]) => !(key === 'name' && name === 'name'))) as Values;
}

/** Values as columns; references among them are the ids of what they lead to. */
export function columnsOf(
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

export async function byId(trx: Knex.Transaction, definition: Definition, id: string): Promise<ResourceRow> {
  const [row] = (await selectRows(trx, definition).where(`${definition.plural}.id`, id)) as unknown[];
  return parseRow(definition, row);
}
