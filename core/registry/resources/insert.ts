import type { Knex } from 'knex';
import { v7 } from 'uuid';
import type { Actor } from '../../access.ts';
import { changesOf } from '../../audit/changes.ts';
import { record } from '../audit/record.ts';
import { lockUser } from '../names/quotas.ts';
import { checkQuota } from './quota.ts';
import { referredTo } from './references.ts';
import type { Made, Values } from './rows.ts';
import { checkUnique } from './unique.ts';
import { about, byId, columnsOf, need, wholeOf, type Writing, type Written } from './writing.ts';

export async function insert(
  trx: Knex.Transaction,
  { definition, hooks, quota }: Writing,
  { values, actor, as = {} }: { values: Values; actor: Actor; as?: Made },
): Promise<Written> {
  const wanted = { actor, row: null, name: values['name'], ownerId: as.ownerId };
  need(definition, { ...wanted, verb: 'create' });
  // To make another's is to change what they have.
  if (as.ownerId !== undefined && as.ownerId !== actor.userId) need(definition, { ...wanted, verb: 'edit' });
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
