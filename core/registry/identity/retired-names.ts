import type { Knex } from 'knex';
import { can, canToAll, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';

/** Nobody takes up, with a name, what is said of who had it: for so long only who rules over such things makes it anew. */
const RETIRED_DAYS = 30;

interface Retired {
  resource: 'user' | 'secret';
  name: string;
}

/** Whose it was takes it up again at once, where that was kept. @throws McpctlError `name_retired` */
export async function needNotRetired(
  trx: Knex.Transaction,
  { resource, name }: Retired,
  actor: Actor,
): Promise<void> {
  if (canToAll(actor, 'create', resource) && can(actor, 'edit', { resource: 'rbac' })) return;
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select 1 from retired_names where resource = :resource and name = :name and until > now()
       and former_owner_id is distinct from :userId`,
    { resource, name, userId: actor.userId },
  );
  if (rows.length > 0) throw new McpctlError('name_retired');
}

/** @param formerOwnerId null: nobody takes it up before others may. */
export async function retireName(
  trx: Knex.Transaction,
  { resource, name, formerOwnerId }: Retired & { formerOwnerId: string | null },
): Promise<void> {
  await trx.raw(
    `insert into retired_names (resource, name, until, former_owner_id)
       values (:resource, :name, now() + :days * interval '1 day', :formerOwnerId)
     on conflict (resource, name) do update set until = excluded.until, former_owner_id = excluded.former_owner_id`,
    { resource, name, days: RETIRED_DAYS, formerOwnerId },
  );
}
