import type { Knex } from 'knex';
import { z } from 'zod';
import { NOBODY } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { storedIdSchema } from '../../names.ts';
import { orNothing } from '../declared/together.ts';
import type { Keeper, Put } from '../declared/keeper.ts';
import type { New } from '../resources/insert.ts';
import type { Chosen } from './chosen.ts';
import {
  builtInIds,
  needCovered,
  retiring,
  revisionBehind,
  valuesHere,
  whoseOf,
  type Restoring,
} from './restore-one.ts';

const rowsSchema = z.array(z.object({ id: z.string(), name: z.string() }));

/** Those of which nothing is here: neither one of that id nor of that name, and the name is not kept back. */
async function notHere(trx: Knex.Transaction, batch: readonly Chosen[]): Promise<Chosen[]> {
  const [kind] = batch.map((each) => each.kind);
  if (!kind) return [];
  const able = batch.filter(({ document: { id }, many }) => {
    const isStored = storedIdSchema.safeParse(id).success;
    return isStored && id !== NOBODY && !many && !builtInIds.includes(id ?? '');
  });
  const isNamed = kind.key === 'name';
  const ids = able.map(({ document }) => document.id ?? '');
  const names = able.map(({ document }) => String(document['name']));
  const coming = new Set<unknown>(names);
  const query = trx(kind.plural).whereIn('id', ids).select('id', 'name');
  if (isNamed) query.orWhereIn('name', names);
  const here = rowsSchema.parse(await query);
  const kept = new Set<string>();
  if (retiring.includes(kind.word)) {
    const retired = trx('retiredNames').where({ resource: kind.word }).whereIn('name', names);
    for (const { name } of await retired.whereRaw('until > now()').select<{ name: string }[]>('name'))
      kept.add(name);
  }
  const [takenIds, takenNames] = [new Set(here.map(({ id }) => id)), new Set(here.map(({ name }) => name))];
  return able.filter(({ document: { id = '', owner, name } }) => {
    // Whose a user is may be made by this very batch.
    if (kind.word === 'user' && owner !== name && coming.has(owner)) return false;
    const isTaken = takenIds.has(id) || (isNamed && takenNames.has(String(name)));
    return !isTaken && !kept.has(String(name));
  });
}

/**
 * Makes what is not here of a batch together. @returns what was made; nothing where something is in the way of one, so that
 * each has to be restored by itself, which says what.
 */
export async function restoreNew(
  trx: Knex.Transaction,
  keeper: Keeper,
  { batch, restoring }: { batch: readonly Chosen[]; restoring: Restoring },
): Promise<ReadonlyMap<Chosen, Put>> {
  if (!keeper.putNew || batch.length < 2) return new Map();
  const wanted = await notHere(trx, batch);
  if (wanted.length < 2) return new Map();
  const made = await orNothing(trx, async (inner) => {
    const news: New[] = [];
    for (const each of wanted) {
      const { document } = each;
      const values = await valuesHere(inner, { ...each, restoring, isHere: false });
      await needCovered(inner, restoring.by, { ...each, values, isHere: false });
      const as = { id: document.id ?? '', ...(await whoseOf(inner, { ...each, restoring })) };
      news.push({ values, as: { ...as, revision: revisionBehind(document) } });
    }
    return keeper.putNew?.(inner, news, restoring.by);
  });
  const puts = new Map<Chosen, Put>();
  for (const [at, put] of (made ?? []).entries()) {
    const each = wanted[at];
    if (!each) throw new McpctlError('internal');
    puts.set(each, put);
    if (each.kind.word === 'user') restoring.users.set(put.name, put.id);
  }
  return puts;
}
