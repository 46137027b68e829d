import type { Knex } from 'knex';
import { builtIn } from '../../access/built-in.ts';
import { lackOf } from '../../access/covers.ts';
import { Granted } from '../../access/grants.ts';
import { grantedTo } from '../../access/presets.ts';
import { McpctlError } from '../../errors.ts';
import { rightsOfUser } from './rights.ts';

/** Of those who might be admins by a document of somebody's, so many are looked at. */
const MOST_LOOKED_AT = 50;

const isPerson = `u.enabled and u.kind = 'human' and u.deleted_at is null`;

const members = `
  select u.id from users u join memberships m on m.user_id = u.id and m.group_id = :admins where ${isPerson} limit 1`;

const others = `
  select u.id from users u where ${isPerson} and exists (
    select 1 from rbac r join rbac_subjects s on s.rbac_id = r.id
    where r.bindings @> '[{"resource": "*"}]' and (s.user_id = u.id or s.group_id = :everyone
      or s.group_id in (select m.group_id from memberships m where m.user_id = u.id)))
  order by u.id limit ${MOST_LOOKED_AT}`;

/**
 * Asked last, behind the turn of `enterIdentity`: somebody must be left who may do everything, an enabled person, and no
 * service. Whatever way they would have gone.
 * @throws McpctlError `last_admin`
 */
export async function needAdminLeft(trx: Knex.Transaction): Promise<void> {
  const admins = await trx.raw<{ rows: { id: string }[] }>(members, { admins: builtIn.admins });
  if (admins.rows.length > 0) return;
  const { rows } = await trx.raw<{ rows: { id: string }[] }>(others, { everyone: builtIn.everyone });
  for (const { id } of rows) {
    if (lackOf([new Granted(await rightsOfUser(trx, id))], grantedTo.admin.rights) === undefined) return;
  }
  throw new McpctlError('last_admin');
}
